/** Ending a load that waits or runs. */
import { Button } from '@mantine/core';
import type { ReactElement } from 'react';
import { useApp } from '../../appContext';
import type { Job } from '../../state/engineView';

export function LoadButtons({ job }: { readonly job: Job }): ReactElement {
  const app = useApp();
  const cancelling = job.phase === 'cancelling';
  return (
    <Button variant="default" disabled={cancelling} onClick={() => app.cancel(job.id)}>
      {cancelling ? 'Cancelling' : 'Cancel'}
    </Button>
  );
}
