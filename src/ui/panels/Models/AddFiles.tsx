/** Picking files or a folder, for those who do not drag. The same field can pick the same file again. */
import { Button } from '@mantine/core';
import { useRef, type ReactElement, type RefObject } from 'react';
import { useApp } from '../../appContext';
import { gatherFiles } from '../../collectFiles';
import { Icon } from '../../widgets/Icon';
import styles from './ModelsPanel.module.css';

/** Phones have no folders to pick. */
const picksFolders = 'webkitdirectory' in HTMLInputElement.prototype;

export function AddFiles({ primary }: { readonly primary: boolean }): ReactElement {
  const app = useApp();
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const take = (field: RefObject<HTMLInputElement | null>): void => {
    if (!field.current) return;
    const picked = [...(field.current.files ?? [])];
    field.current.value = '';
    if (picked.length > 0) void app.models.take(gatherFiles(picked));
  };
  return (
    <div className={styles.buttons}>
      <Button
        variant={primary ? 'filled' : 'default'}
        leftSection={<Icon name="file" size={18} />}
        onClick={() => files.current?.click()}
      >
        Add files
      </Button>
      <input
        ref={files}
        type="file"
        multiple
        hidden
        data-testid="files"
        aria-label="Files to add"
        onChange={() => take(files)}
      />
      {picksFolders && (
        <>
          <Button
            variant="default"
            leftSection={<Icon name="folder" size={18} />}
            onClick={() => folder.current?.click()}
          >
            Add a folder
          </Button>
          <input
            ref={folder}
            type="file"
            hidden
            data-testid="folder"
            aria-label="Folder to add"
            {...{ webkitdirectory: '' }}
            onChange={() => take(folder)}
          />
        </>
      )}
    </div>
  );
}
