// Bundles the page: Grafana's published UI code and the little that is around it here.
import { build } from 'esbuild';

await build({
  entryPoints: ['src/page.jsx'],
  outfile: 'dist/page.js',
  bundle: true,
  format: 'iife',
  jsx: 'automatic',
  minify: true,
  define: { 'process.env.NODE_ENV': '"development"', global: 'window' },
  loader: { '.svg': 'dataurl', '.woff': 'dataurl', '.woff2': 'dataurl', '.ttf': 'dataurl', '.png': 'dataurl' },
  logLevel: 'error',
});
