/**
 * Drop anything anywhere: while files are dragged over the page it says what it takes; dropped, they go to the app. Files
 * that are pasted go the same way.
 */
import { useEffect, useState, type ReactElement } from 'react';
import { useApp } from '../appContext';
import { gather } from '../collectFiles';
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
      if (!carriesFiles(event) || !event.dataTransfer) return;
      event.preventDefault();
      depth = 0;
      setOver(false);
      void app.models.take(gather(event.dataTransfer));
    };
    const paste = (event: ClipboardEvent): void => {
      const { clipboardData } = event;
      // where text comes along, the text is meant
      if (!clipboardData || clipboardData.files.length === 0) return;
      if (clipboardData.types.includes('text/plain')) return;
      event.preventDefault();
      void app.models.take(gather(clipboardData));
    };
    window.addEventListener('dragenter', enter);
    window.addEventListener('dragleave', leave);
    window.addEventListener('dragover', allow);
    window.addEventListener('drop', drop);
    window.addEventListener('paste', paste);
    return () => {
      window.removeEventListener('dragenter', enter);
      window.removeEventListener('dragleave', leave);
      window.removeEventListener('dragover', allow);
      window.removeEventListener('drop', drop);
      window.removeEventListener('paste', paste);
    };
  }, [app]);
  if (!over) return null;
  return (
    <div className={styles.zone}>
      <div className={styles.card}>
        <Icon name="file" size={28} />
        <p className={styles.title}>Drop a model, a picture, a folder or a zip</p>
        <p className={styles.what}>
          Weights (.pt, .safetensors, .bin), configurations and whole folders go to Models. A PNG made here
          brings its prompt and settings back.
        </p>
      </div>
    </div>
  );
}
