// Checks dashboards against Grafana's types: node check.mjs DASHBOARD.json...
// What it needs is installed by `npm ci`.

import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const boards = join(here, 'boards');

rmSync(boards, { recursive: true, force: true });
mkdirSync(boards);
for (const file of process.argv.slice(2)) {
  const json = readFileSync(file, 'utf8');
  const module = `import type { Board } from '../board';\nexport const board: Board = ${json};\n`;
  writeFileSync(join(boards, `${basename(file, '.json')}.ts`), module);
}
const tsc = join(here, 'node_modules', 'typescript', 'bin', 'tsc');
const { status } = spawnSync(process.execPath, [tsc, '-p', here], { stdio: 'inherit' });
process.exit(status ?? 1);
