// What the tests of the pages have in common.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import puppeteer from 'puppeteer-core';

/** Only a hang lasts so long. */
export const PATIENCE_MS = 60_000;
const WIDTHS = [360, 768, 1440];
export const SCHEMES = ['light', 'dark'];

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What went wrong in any page: errors in the console, exceptions, violations of the policy. */
export const wrong = [];

export const launch = () => puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  // Its sandbox does not start as root; the pages come from the test alone.
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--hide-scrollbars', '--force-color-profile=srgb'],
});

export async function open(browser, url, { script = true } = {}) {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  await page.setJavaScriptEnabled(script);
  page.on('pageerror', (error) => wrong.push(`${url}: exception: ${error.message ?? error}`));
  page.on('console', (message) => {
    // A daemon that is gone is no fault of the page.
    const isGone = /ERR_(CONNECTION|EMPTY|INCOMPLETE|NETWORK)|AbortError|TimeoutError/.test(message.text());
    if (['error', 'warn'].includes(message.type()) && !isGone) {
      wrong.push(`${url}: console: ${message.text()}`);
    }
  });
  await page.setViewport({ width: 1440, height: 900 });
  await page.goto(url);
  return page;
}

export const text = (page, selector) => page.$eval(selector, (element) => element.innerText);

/** Waits until what `look` returns of the page is true. */
export async function until(page, what, look, ...given) {
  try {
    await page.waitForFunction(look, { timeout: PATIENCE_MS, polling: 100 }, ...given);
  } catch (error) {
    const seen = await page.evaluate(() => document.body.innerText);
    throw new Error(`never: ${what}: ${error.message}\n${seen}`);
  }
}

/** Nothing that axe calls serious or critical, in both schemes, on a phone and on a desk. */
export async function accessible(page) {
  for (const [scheme, width] of SCHEMES.flatMap((scheme) => [[scheme, 360], [scheme, 1440]])) {
    await page.setViewport({ width, height: 900 });
    await page.emulateMediaFeatures([
      { name: 'prefers-color-scheme', value: scheme },
      { name: 'prefers-reduced-motion', value: 'reduce' },
    ]);
    // Through the debugger, which no policy holds up.
    const tool = await page.createCDPSession();
    await tool.send('Runtime.evaluate', { expression: axe });
    const { violations } = await page.evaluate(() => window.axe.run(document));
    const bad = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact));
    const said = bad.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join('\n  ')}`);
    assert.deepEqual(said, [], `${page.url()} in ${scheme} at ${width}`);
  }
  await page.emulateMediaFeatures([]);
}

/** No sideways scroll at any width. */
export async function fits(page) {
  for (const width of WIDTHS) {
    await page.setViewport({ width, height: 900 });
    const [whole, seen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(whole <= seen, `${page.url()}: ${whole} pixels on ${width}`);
  }
  await page.setViewport({ width: 1440, height: 900 });
}

/** Neither script nor style in the page itself, and nothing from elsewhere. */
export async function isClean(page) {
  const found = await page.evaluate(() => {
    const inline = 'script:not([src]), style, [style], [onclick], [onload], a[href^="javascript:"]';
    const elsewhere = [...document.querySelectorAll('[src], link[href]')]
      .map((element) => new URL(element.src ?? element.href, location.href))
      .filter((url) => url.origin !== location.origin);
    return [document.querySelectorAll(inline).length, elsewhere.map(String)];
  });
  assert.deepEqual(found, [0, []], page.url());
}
