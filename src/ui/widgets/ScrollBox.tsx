/** What may be too wide for the screen: scrolls sideways, and takes the keyboard's focus for that where it must. */
import { useEffect, useRef, useState, type ReactElement, type ReactNode } from 'react';

export interface ScrollBoxProps {
  /** What is inside. */
  readonly label: string;
  readonly className: string | undefined;
  readonly children: ReactNode;
}

export function ScrollBox({ label, className, children }: ScrollBoxProps): ReactElement {
  const box = useRef<HTMLDivElement>(null);
  const [scrolls, setScrolls] = useState(false);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setScrolls(element.scrollWidth > element.clientWidth));
    observer.observe(element);
    for (const child of element.children) observer.observe(child);
    return () => observer.disconnect();
  }, []);
  return (
    <div
      ref={box}
      className={className}
      {...(scrolls && { tabIndex: 0, role: 'region', 'aria-label': label })}
    >
      {children}
    </div>
  );
}
