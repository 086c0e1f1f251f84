/**
 * The picture, as large as fits. While one is made: the estimate so far, refined in place, with the steps as a thin bar.
 * Otherwise the newest pictures; before the first, what to do.
 */
import { Button, Loader } from '@mantine/core';
import type { ReactElement } from 'react';
import { useApp, useEngine, useGallery, useKept } from '../../appContext';
import { loadingJob, runningGeneration, type Job } from '../../state/engineView';
import type { GalleryPicture } from '../../state/gallery';
import { goTo } from '../../state/panel';
import { ErrorNote } from '../../widgets/ErrorNote';
import { LoadProgress, loadAdvice } from '../../widgets/LoadProgress';
import { Logo } from '../../frame/Logo';
import { PictureBar } from './PictureBar';
import { PictureGrid } from './PictureGrid';
import { PreviewCanvas } from './PreviewCanvas';
import { StepBar } from './StepBar';
import styles from './Stage.module.css';

export function Stage(): ReactElement {
  const running = useEngine(runningGeneration);
  const pictures = useGallery((state) => state.pictures);
  const latest = useGallery((state) => state.latestBatch);
  const batch = latest || (pictures[0]?.batch ?? '');
  const shown = pictures.filter((picture) => picture.batch === batch);
  const failed = useEngine((view) => view.model === null && view.errors.loadModel !== null);
  if (running) return <Making job={running} />;
  if (failed) return <Nothing />;
  if (shown.length > 0) return <Made pictures={shown} />;
  return <Nothing />;
}

function Making({ job }: { readonly job: Job }): ReactElement {
  const imageSize = useEngine((view) => view.model?.imageSize ?? 64);
  const pixels = useKept((state) => state.view.pixels);
  if (job.job.kind !== 'generate') return <></>;
  const { prompts } = job.job.settings;
  return (
    <div className={styles.stage}>
      <PictureGrid
        count={prompts.length}
        cell={(index) => {
          const picture = job.preview?.pictures[index];
          return picture ? (
            <PreviewCanvas
              picture={picture}
              pixels={pixels}
              label={`Estimate of “${prompts[index] ?? ''}”`}
            />
          ) : (
            <div className={styles.blank} style={{ aspectRatio: `${imageSize} / ${imageSize}` }}>
              <Logo size={48} />
            </div>
          );
        }}
        footer={<StepBar job={job} />}
      />
    </div>
  );
}

function Made({ pictures }: { readonly pictures: readonly GalleryPicture[] }): ReactElement {
  const app = useApp();
  const pixels = useKept((state) => state.view.pixels);
  return (
    <div className={styles.stage}>
      <PictureGrid
        count={pictures.length}
        cell={(index) => {
          const picture = pictures[index];
          if (!picture) return null;
          return (
            <button
              type="button"
              className={styles.open}
              aria-label={`Open “${picture.settings.prompt}” in full view`}
              onClick={() => app.gallery.open(picture.id)}
            >
              <img
                src={picture.url}
                width={picture.width}
                height={picture.height}
                alt={picture.settings.prompt || 'Picture without a prompt'}
                data-pixels={pixels || undefined}
              />
            </button>
          );
        }}
        footer={<PictureBar pictures={pictures} />}
      />
    </div>
  );
}

function Nothing(): ReactElement {
  const app = useApp();
  const state = useEngine((view) => view.state);
  const model = useEngine((view) => view.model);
  const loading = useEngine(loadingJob);
  const failure = useEngine((view) => view.errors.loadModel);
  return (
    <div className={styles.stage}>
      <div className={styles.nothing}>
        {failure && !loading ? (
          <div className={styles.problem}>
            <ErrorNote
              title="The model was not loaded."
              error={failure.error}
              advice={loadAdvice(failure.error.code)}
              action={{ label: 'Try again', run: () => app.models.loadAgain() }}
            />
          </div>
        ) : loading ? (
          <div className={styles.loading}>
            <p className={styles.title}>Loading the model</p>
            <LoadProgress job={loading} />
          </div>
        ) : model ? (
          <>
            <span className={styles.mark}>
              <Logo size={72} />
            </span>
            <p className={styles.title}>Your picture appears here</p>
            <p className={styles.text}>
              It is made on this device, out of noise, step by step. Press Generate, or change the prompt
              first.
            </p>
          </>
        ) : state.name === 'ready' ? (
          <>
            <p className={styles.title}>No model is loaded</p>
            <p className={styles.text}>Load the demo, or bring your own files.</p>
            <div className={styles.choices}>
              <Button variant="default" onClick={() => app.models.loadDemo()}>
                Load the demo
              </Button>
              <Button onClick={() => goTo('models')}>Choose a model</Button>
            </div>
          </>
        ) : (
          <>
            <Loader size="sm" />
            <p className={styles.text}>
              {state.name === 'device-lost' ? 'Waiting for the graphics chip' : 'Opening the graphics chip'}
            </p>
          </>
        )}
      </div>
    </div>
  );
}
