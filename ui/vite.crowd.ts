/* crowd.js: one classic script, for the sandboxed frame of a task. */
import { defineConfig } from 'vite';

export default defineConfig({
  publicDir: false,
  build: {
    target: 'es2020',
    emptyOutDir: false, // the portal lies there already
    reportCompressedSize: false,
    lib: { entry: 'crowd/main.ts', formats: ['iife'], name: 'honeCrowd', fileName: () => 'crowd.js' },
  },
});
