/** A picture in the making: its pixels on a canvas of their own size, scaled by the page. */
import { useEffect, useRef, type ReactElement } from 'react';
import type { Picture } from '../../../protocol/generate';
import styles from './PreviewCanvas.module.css';

export interface PreviewCanvasProps {
  readonly picture: Picture;
  readonly pixels: boolean;
  readonly label: string;
}

export function PreviewCanvas({ picture, pixels, label }: PreviewCanvasProps): ReactElement {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const context = canvas.current?.getContext('2d');
    if (!context) return;
    const { width, height, rgb } = picture;
    const image = context.createImageData(width, height);
    for (let from = 0, to = 0; from < rgb.length; from += 3, to += 4) {
      image.data[to] = rgb[from]!;
      image.data[to + 1] = rgb[from + 1]!;
      image.data[to + 2] = rgb[from + 2]!;
      image.data[to + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }, [picture]);
  return (
    <canvas
      ref={canvas}
      className={styles.canvas}
      width={picture.width}
      height={picture.height}
      data-pixels={pixels || undefined}
      role="img"
      aria-label={label}
    />
  );
}
