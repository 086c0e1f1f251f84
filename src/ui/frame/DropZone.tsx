/** Drop anything anywhere: while files are dragged over the page it says what it takes; dropped, they go to the app. */
import { useEffect, useState, type ReactElement } from 'react';
import { useApp } from '../appContext';
import { Icon } from '../widgets/Icon';
import styles from './DropZone.module.css';

const carriesFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes('Files') ?? false;

export function DropZone(): ReactElement | null {
  const app = useApp();
  const [over, setOver] = useState(false);
  useEffect(() => {
    // enter and leave come for every element on the way: count them
    let depth = 0;
    const enter = (event: DragEvent): void => {
      if (!carriesFiles(event)) return;
      depth += 1;
      setOver(true);
    };
    const leave = (event: DragEvent): void => {
      if (!carriesFiles(event)) return;
      depth = Math.max(0, depth - 1);
      if (depth === 0) setOver(false);
    };
    const allow = (event: DragEvent): void => {
      if (carriesFiles(event)) event.preventDefault();
    };
    const drop = (event: DragEvent): void => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      depth = 0;
      setOver(false);
      const files = [...(event.dataTransfer?.files ?? [])];
      if (files.length > 1) {
        app.notices.complain(`One picture at a time: ${files.length} files were dropped.`);
      } else if (files[0]) {
        void app.openPicture(files[0]);
      }
    };
    window.addEventListener('dragenter', enter);
    window.addEventListener('dragleave', leave);
    window.addEventListener('dragover', allow);
    window.addEventListener('drop', drop);
    return () => {
      window.removeEventListener('dragenter', enter);
      window.removeEventListener('dragleave', leave);
      window.removeEventListener('dragover', allow);
      window.removeEventListener('drop', drop);
    };
  }, [app]);
  if (!over) return null;
  return (
    <div className={styles.zone}>
      <div className={styles.card}>
        <Icon name="file" size={28} />
        <p className={styles.title}>Drop a picture made here</p>
        <p className={styles.what}>A PNG from tabdit brings its prompt and settings back.</p>
      </div>
    </div>
  );
}
