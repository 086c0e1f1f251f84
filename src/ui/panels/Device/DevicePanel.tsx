/** What this machine computes with, whether it computes right, and everything a report needs, to copy. */
import { Button, CopyButton } from '@mantine/core';
import { useEffect, type ReactElement } from 'react';
import { useApp, useEngine } from '../../appContext';
import { Facts } from '../../widgets/Facts';
import { Icon } from '../../widgets/Icon';
import { MemoryBar } from '../../widgets/MemoryBar';
import styles from '../Panel.module.css';
import { deviceReport } from './deviceReport';
import { Features, Limits } from './Limits';
import { PlanTable } from './PlanTable';
import { SelfCheck } from './SelfCheck';

export function DevicePanel(): ReactElement {
  const app = useApp();
  const view = useEngine((engine) => engine);
  const { adapter, device, model, selfCheck, state } = view;
  const idle = view.jobs.length === 0;
  useEffect(() => {
    // anew whenever work has ended: memory and pipelines change with it
    if (state.name === 'ready' && idle) app.describeDevice();
  }, [app, state.name, idle]);

  if (!adapter) {
    return (
      <div className={styles.panel}>
        <h1>Device</h1>
        <p className={styles.dim}>Opening the graphics chip</p>
      </div>
    );
  }
  const maker = [adapter.vendor, adapter.architecture].filter(Boolean).join(', ');
  const memory = model ? model.memory : (device?.memory ?? []);
  return (
    <div className={styles.panel}>
      <div className={styles.head}>
        <div>
          <h1>{adapter.words}</h1>
          <p className={styles.dim}>
            {maker}
            {adapter.software
              ? `${maker ? '. ' : ''}Computes on the processor instead of a graphics chip: right, but slow.`
              : ''}
          </p>
        </div>
        <CopyButton value={deviceReport(view, navigator.userAgent)}>
          {({ copied, copy }) => (
            <Button
              variant="default"
              leftSection={<Icon name={copied ? 'check' : 'copy'} size={18} />}
              onClick={copy}
            >
              {copied ? 'Copied' : 'Copy a report'}
            </Button>
          )}
        </CopyButton>
      </div>

      <SelfCheck check={selfCheck} />

      <div className={styles.columns}>
        <section className={styles.card} aria-labelledby="memory">
          <h2 id="memory">GPU memory in use</h2>
          {memory.length > 0 ? (
            <MemoryBar parts={memory} />
          ) : (
            <p className={styles.dim}>No model is loaded.</p>
          )}
        </section>
        <section className={styles.card} aria-labelledby="adapter">
          <h2 id="adapter">Adapter</h2>
          <Facts
            rows={[
              ['Vendor', adapter.vendor || 'not told'],
              ['Architecture', adapter.architecture || 'not told'],
              ['Device', adapter.device || 'not told'],
              ['Description', adapter.description || 'not told'],
              ['Kernels compiled', device ? String(device.pipelines) : '…'],
            ]}
          />
        </section>
      </div>

      {model && <PlanTable model={model} />}
      <Features adapter={adapter} />
      <Limits adapter={adapter} />
    </div>
  );
}
