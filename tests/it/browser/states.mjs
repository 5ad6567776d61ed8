// Looks at pages that show every state: `node states.mjs URL...`. With PICTURES=DIR it takes pictures.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { SCHEMES, accessible, fits, isClean, launch, open, wrong } from './kit.mjs';

/** Takes a picture of the whole page at each width and in each scheme. */
async function shoot(page, name) {
  for (const width of [360, 768, 1440]) {
    for (const scheme of SCHEMES) {
      await page.setViewport({ width, height: 900 });
      await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
      await page.screenshot({ path: join(process.env.PICTURES, `${name}-${scheme}-${width}.png`), fullPage: true });
    }
  }
}

const browser = await launch();
try {
  for (const [place, url] of process.argv.slice(2).entries()) {
    const page = await open(browser, url);
    await page.$$eval('details', (all) => all.forEach((details) => details.setAttribute('open', '')));
    await isClean(page);
    await fits(page);
    if (process.env.PICTURES) {
      await shoot(page, `page-${place}`);
    }
    await accessible(page);
    await page.close();
  }
  assert.deepEqual(wrong, []);
} finally {
  await browser.close();
}
