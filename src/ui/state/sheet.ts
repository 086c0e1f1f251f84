/** Whether the sheet of keys is open: keys and buttons both open it. */
import { createStore, type StoreApi } from 'zustand/vanilla';

export const keysSheet: StoreApi<{ readonly open: boolean }> = createStore(() => ({ open: false }));
