/** Entry of the page: mounts the React tree into index.html's #root. */
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

const root = document.getElementById('root');
if (!root) throw new Error('page: index.html must have an element #root: it has none');

createRoot(root).render(
  <StrictMode>
    <h1>tabdit</h1>
  </StrictMode>,
);
