/** Pictures made here, newest first. One stop for Tab; the arrow keys go along it. */
import { useRef, useState, type KeyboardEvent, type ReactElement } from 'react';
import { useApp, useGallery, useKept } from '../../appContext';
import { classNames } from '../../widgets/classNames';
import styles from './Filmstrip.module.css';

export function Filmstrip(): ReactElement {
  const app = useApp();
  const pictures = useGallery((state) => state.pictures);
  const problem = useGallery((state) => state.problem);
  const pixels = useKept((state) => state.view.pixels);
  const [current, setCurrent] = useState(0);
  const strip = useRef<HTMLUListElement>(null);
  const stop = Math.max(0, Math.min(current, pictures.length - 1));

  const move = (event: KeyboardEvent): void => {
    const to =
      event.key === 'ArrowRight'
        ? stop + 1
        : event.key === 'ArrowLeft'
          ? stop - 1
          : event.key === 'Home'
            ? 0
            : event.key === 'End'
              ? pictures.length - 1
              : -1;
    if (to < 0 || to >= pictures.length) return;
    event.preventDefault();
    setCurrent(to);
    strip.current?.querySelectorAll('button')[to]?.focus();
  };

  return (
    <div className={styles.film}>
      {problem !== null && (
        <p className={styles.problem}>
          Pictures are not kept over a reload, because the browser does not store them: {problem}
        </p>
      )}
      {pictures.length === 0 && <p className={styles.empty}>Pictures you make collect here.</p>}
      {pictures.length > 0 && (
        <ul
          ref={strip}
          className={styles.strip}
          aria-label="Pictures made here, newest first"
          onKeyDown={move}
        >
          {pictures.map((picture, index) => {
            const { prompt, seed } = picture.settings;
            const first = index === 0 || pictures[index - 1]?.batch !== picture.batch;
            return (
              <li key={picture.id} className={classNames(first && index > 0 && styles.first)}>
                <button
                  type="button"
                  tabIndex={index === stop ? 0 : -1}
                  title={`${prompt || 'no prompt'}, seed ${seed || '0'}`}
                  aria-label={`Open “${prompt}”, seed ${seed || '0'}`}
                  onFocus={() => setCurrent(index)}
                  onClick={() => app.gallery.open(picture.id)}
                >
                  <img
                    src={picture.url}
                    width={picture.width}
                    height={picture.height}
                    alt=""
                    loading="lazy"
                    data-pixels={pixels || undefined}
                  />
                </button>
              </li>
            );
          })}
        </ul>
      )}
    </div>
  );
}
