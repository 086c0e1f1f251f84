/** Entry of the page: starts the engine, makes the app, mounts the React tree into index.html's #root. */
import '@mantine/core/styles.layer.css';
import './global.css';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app';
import { startEngine } from './engineClient';
import { listenToKeys } from './keyActions';
import { Page, schemeOf } from './Page';
import { Gallery } from './state/gallery';
import { createKeptStore, pageStorage } from './state/keptStore';
import { followHistory, goTo } from './state/panel';
import { indexedDbPictures } from './state/pictureStorage';

const root = document.getElementById('root');
if (!root) throw new Error('page: index.html must have an element #root: it has none');

const app = new App({
  client: startEngine(),
  kept: createKeptStore(pageStorage()),
  gallery: new Gallery(indexedDbPictures()),
  // relative to the page, which may lie at any path
  demo: new URL('models/emoji-64/', document.baseURI).href,
  assets: new URL('./', document.baseURI).href,
  now: Date.now,
  goTo,
});
// before the first paint, so that a chosen theme does not flash
document.documentElement.dataset['mantineColorScheme'] = schemeOf(app.kept.getState().view.theme);
app.start();
listenToKeys(app);
followHistory();

createRoot(root).render(
  <StrictMode>
    <Page app={app} />
  </StrictMode>,
);
