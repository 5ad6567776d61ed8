// Takes a picture of every dashboard, drawn from what a Prometheus has.
//
//   node shoot.mjs --prometheus http://127.0.0.1:9090 --dashboards DIR --out DIR
//     [--range 5m] [--to 2026-01-31T12:00:00Z] [--scrape 15s] [--width 1600]
//     [--var [UID:]NAME=VALUE]... [--only UID]...
//
// Ends with 1 where a query errs, a panel throws, or React or the page logs an error. Panels without
// data, and overrides that no field has, are listed.
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import puppeteer from 'puppeteer-core';
import { serve } from './server.mjs';

const PATIENCE_MS = 60_000;

const { values: options } = parseArgs({
  options: {
    prometheus: { type: 'string' },
    dashboards: { type: 'string' },
    out: { type: 'string' },
    range: { type: 'string', default: '5m' },
    to: { type: 'string' },
    scrape: { type: 'string', default: '15s' },
    width: { type: 'string', default: '1600' },
    chromium: { type: 'string', default: '/usr/bin/chromium' },
    var: { type: 'string', multiple: true, default: [] },
    only: { type: 'string', multiple: true, default: [] },
  },
});
for (const needed of ['prometheus', 'dashboards', 'out']) {
  if (!options[needed]) {
    throw new Error(`--${needed} is missing`);
  }
}

async function readDashboards() {
  const names = (await readdir(options.dashboards)).filter((name) => name.endsWith('.json')).sort();
  const read = names.map(async (name) => JSON.parse(await readFile(join(options.dashboards, name), 'utf8')));
  const all = await Promise.all(read);
  return all;
}

const wanted = ({ uid }) => options.only.length === 0 || options.only.includes(uid);

/** The names of each dashboard's variables, for the links that set them. */
function variablesOf(dashboards) {
  const names = ({ templating }) => (templating?.list ?? []).map(({ name }) => name);
  return Object.fromEntries(dashboards.map((dashboard) => [dashboard.uid, names(dashboard)]));
}

/** The values that the command line gives to a dashboard's variables. */
function chosenFor(uid) {
  const chosen = {};
  for (const given of options.var) {
    const [, only, name, value] = /^(?:([^:=]+):)?([^:=]+)=(.*)$/.exec(given) ?? [];
    if (!name) {
      throw new Error(`--var ${given} is not [UID:]NAME=VALUE`);
    }
    if (!only || only === uid) {
      chosen[name] = value;
    }
  }
  return chosen;
}

/** Draws a dashboard in a page of its own and says what went wrong. */
async function shoot(browser, address, dashboard, dashboards) {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const errors = [];
  page.on('pageerror', (error) => errors.push(`page: ${error.message ?? error}`));
  page.on('console', (message) => {
    if (message.type() === 'error') {
      errors.push(`console: ${message.text().slice(0, 600)}`);
    }
  });
  await page.setViewport({ width: Number(options.width), height: 1000 });
  await page.goto(address);
  const { range, to, scrape } = options;
  const settings = { range, to, scrape, chosen: chosenFor(dashboard.uid), dashboards };
  const drawn = await page.evaluate((...given) => window.draw(...given), dashboard, settings);
  await page.setViewport({ width: Number(options.width), height: drawn.height });
  await page.evaluate(() => window.settle());
  await page.screenshot({ path: join(options.out, `${dashboard.uid}.png`) });
  const late = await page.evaluate(() => window.thrown());
  await page.close();
  return { notes: drawn.notes, errors: [...drawn.errors, ...late, ...errors] };
}

await mkdir(options.out, { recursive: true });
const server = await serve(options.prometheus.replace(/\/$/, ''));
const browser = await puppeteer.launch({
  executablePath: options.chromium,
  // Its sandbox does not start as root; the page comes from this process alone.
  args: ['--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--force-color-profile=srgb'],
});
let failed = false;
try {
  const dashboards = await readDashboards();
  for (const dashboard of dashboards.filter(wanted)) {
    const { notes, errors } = await shoot(browser, server.address, dashboard, variablesOf(dashboards));
    console.log(`${dashboard.uid}: ${errors.length === 0 ? 'drawn' : 'FAILED'}`);
    errors.forEach((error) => console.log(`  error: ${error}`));
    notes.forEach((note) => console.log(`  ${note}`));
    failed ||= errors.length > 0;
  }
} finally {
  await browser.close();
  server.stop();
}
process.exitCode = failed ? 1 : 0;
