/**
 * Builds the page: a static folder (dist/) with relative addresses, which any host can serve from any path.
 */
import react from '@vitejs/plugin-react';
import type { Plugin } from 'vite';
import { defineConfig } from 'vite';

/** Takes the content security policy out while developing: hot reload needs inline scripts and a web socket. */
function withoutPolicyInDevelopment(): Plugin {
  return {
    name: 'tabdit:without-policy-in-development',
    apply: 'serve',
    transformIndexHtml: (html) => html.replace(/<meta\s+http-equiv="Content-Security-Policy"[^>]*>/, ''),
  };
}

export default defineConfig({
  base: './',
  plugins: [react(), withoutPolicyInDevelopment()],
  publicDir: 'public',
  worker: { format: 'es' },
  build: {
    target: 'es2023',
    outDir: 'dist',
    emptyOutDir: true,
    sourcemap: true,
    // Everything is asked for by name: inlined data: addresses would need holes in the policy.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1500,
    reportCompressedSize: false,
  },
  server: { host: '127.0.0.1' },
});
