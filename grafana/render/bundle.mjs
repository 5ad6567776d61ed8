// Bundles the page: Grafana's published UI code and the little that is around it here.
import { build } from 'esbuild';

// @grafana/scenes is written for version 6 of the router; @grafana/ui brings version 5 and its bridge to 6.
const router = {
  name: 'router',
  setup(building) {
    building.onResolve({ filter: /^react-router-dom$/ }, ({ importer, kind, resolveDir }) =>
      importer.includes('@grafana/scenes')
        ? building.resolve('react-router-dom-v5-compat', { importer, kind, resolveDir })
        : undefined
    );
  },
};

await build({
  plugins: [router],
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
