// Serves the page on loopback: the bundle, Grafana's icons, the fonts, and the Prometheus behind it.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { join, normalize } from 'node:path';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const ICONS = join(HERE, 'node_modules/@grafana/ui/dist/public');
const FONTS = join(HERE, 'node_modules/@fontsource/inter/files');
const WEIGHTS = { 'Inter-Regular': '400-normal', 'Inter-Medium': '500-normal', 'Inter-Italic': '400-italic' };
const TYPES = { js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml', woff2: 'font/woff2' };
const PAGE = `<!doctype html><html><head><meta charset="utf-8"><link rel="icon" href="data:,">
<link rel="stylesheet" href="/page.css"></head>
<body class="theme-dark"><div id="root"></div>
<script>window.grafanaBootData = { settings: {}, user: {}, navTree: [] };</script>
<script src="/page.js"></script></body></html>`;

function fileOf(path) {
  if (path === '/page.js' || path === '/page.css') {
    return join(HERE, 'dist', path);
  }
  const font = /^\/public\/fonts\/inter\/(.+)\.woff2$/.exec(path);
  if (font) {
    return join(FONTS, `inter-latin-${WEIGHTS[font[1]] ?? '400-normal'}.woff2`);
  }
  const asset = /^\/public\/(?:build\/)?(img\/.+)$/.exec(path);
  return asset ? join(ICONS, normalize(`/${asset[1]}`)) : undefined;
}

async function ask(prometheus, path) {
  const answer = await fetch(prometheus + path, { signal: AbortSignal.timeout(30_000) });
  return [answer.status, 'application/json', await answer.text()];
}

async function answer(prometheus, url) {
  const path = new URL(url, 'http://page').pathname;
  if (path === '/') {
    return [200, 'text/html', PAGE];
  }
  if (path.startsWith('/api/')) {
    return ask(prometheus, url);
  }
  const file = fileOf(path);
  return file
    ? [200, TYPES[file.split('.').pop()] ?? 'application/octet-stream', await readFile(file)]
    : [404, 'text/plain', 'not here'];
}

/** Listens on a free port; answers the address and how to stop. */
export async function serve(prometheus) {
  const server = createServer(async (request, response) => {
    let [status, type, body] = [502, 'text/plain', ''];
    try {
      [status, type, body] = await answer(prometheus, request.url);
    } catch (error) {
      [status, body] = [error.code === 'ENOENT' ? 404 : 502, String(error)];
    }
    response.writeHead(status, { 'content-type': type });
    response.end(body);
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  return {
    address: `http://127.0.0.1:${server.address().port}/`,
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
