/* The portal: index.html and its assets, for /ui/. tools/build_ui runs it. */
import { defineConfig } from 'vite';

export default defineConfig({
  base: '/ui/',
  publicDir: 'public',
  esbuild: { jsx: 'automatic', jsxImportSource: 'preact', legalComments: 'none' },
  build: {
    target: 'es2020',
    modulePreload: { polyfill: false }, // it would be an inline script, which the page's policy refuses
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    reportCompressedSize: false,
  },
});
