// Looks at the pages of daemons as people do: `node drive.mjs URL...`, one for each daemon.
//
// What is to happen meanwhile it asks for on standard output (`ask: WHAT`), and goes on once a line has
// come on standard input. It ends with 0 if everything was as it should be.
import assert from 'node:assert/strict';
import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { accessible, fits, isClean, launch, open, text, until, wrong } from './kit.mjs';

const [first, second] = process.argv.slice(2);
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function ask(what) {
  console.log(`ask: ${what}`);
  const { value } = await answers.next();
  assert.equal(value, 'done', what);
}

async function content(page) {
  await until(page, 'ready', () => /^All \d+ standbys can take over/.test(document.getElementById('answer').textContent));
  assert.match(await text(page, '.top'), /seen from eu-west/);
  const shown = await text(page, 'main');
  for (const part of ['checkout', 'eu-central', 'us-east', 'Alerts', 'Failovers and drills', 'This daemon']) {
    assert.ok(shown.includes(part), `${part} in ${shown}`);
  }
  // A state is told by a word and a shape, not by its colour alone.
  const pills = await page.$$eval('.pill', (all) => all.map((pill) => [pill.textContent.trim(), Boolean(pill.querySelector('svg use'))]));
  assert.ok(pills.length > 0 && pills.every(([word, shape]) => word && shape), JSON.stringify(pills));
  await until(page, 'the other vantages', () => {
    const heads = [...document.querySelectorAll('#vantages thead th')].map((head) => head.textContent);
    return heads.length === 4 && heads.every((head) => !head.includes('unreachable'));
  });
  await until(page, 'a matrix with a row for each vantage', () => document.querySelectorAll('#matrix tbody tr').length === 3);
}

async function keyboard(page) {
  await page.focus('body');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
  await page.keyboard.press('Enter');
  assert.equal(new URL(page.url()).hash, '#main');
  // From the answer on, a summary is reached and opened by keys alone.
  for (let i = 0; i < 50; i += 1) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate(() => {
      const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
      return [document.activeElement.nodeName, outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2];
    });
    assert.ok(at[0] === 'BODY' || at[1], `no focus is seen on ${at[0]}`);
    if (at[0] === 'SUMMARY') {
      await page.keyboard.press('Enter');
      assert.ok(await page.evaluate(() => document.activeElement.parentElement.open));
      return;
    }
  }
  assert.fail('no summary was reached');
}

async function live(page) {
  await page.evaluate(() => {
    window.same = true;
    window.focused = document.activeElement;
    window.scrollTo(0, 200);
  });
  await ask('the service in us-east ends');
  await until(page, 'not ready', () => document.getElementById('answer').textContent.includes('cannot take over'));
  const kept = await page.evaluate(() => [
    window.same,
    document.activeElement === window.focused && window.focused.isConnected,
    window.focused.parentElement.open,
    // What is looked at may be moved a little by what grows above it, and stays in sight.
    window.scrollY > 100,
  ]);
  assert.deepEqual(kept, [true, true, true, true], 'the same page, its focus, what was open, where it was');
  assert.match(await text(page, 'main'), /web \w+\s*refused/);
  await until(page, 'it is said', () => document.getElementById('news').textContent.includes('cannot take over'));
  await titled(page);
  await ask('the service in us-east begins');
  await until(page, 'ready again', () => /^All/.test(document.getElementById('answer').textContent));
}

/** A way to a server that can be made to carry nothing any more, without closing anything. */
async function way(url) {
  const { hostname, port } = new URL(url);
  const pairs = new Set();
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    const pair = [near, far];
    pairs.add(pair);
    for (const [from, to] of [[near, far], [far, near]]) {
      from.on('data', (bytes) => pairs.has(pair) && to.write(bytes));
      from.on('end', () => pairs.has(pair) && to.end());
      from.on('error', () => to.destroy());
    }
  });
  await new Promise((done) => { server.listen(0, '127.0.0.1', done); });
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    /** What is under way stays there for ever; what comes next gets through. */
    lose: () => pairs.clear(),
  };
}

/** A connection that has died without a word is none to wait for. */
async function anotherNetwork(browser) {
  const through = await way(second);
  const page = await open(browser, through.url);
  await until(page, 'live', () => document.getElementById('link').textContent === 'live');
  await page.evaluate(() => {
    window.asked = [];
    const { fetch } = window;
    window.fetch = (...given) => {
      window.asked.push(String(given[0]));
      return fetch(...given);
    };
    const Events = window.EventSource;
    window.listened = 0;
    window.EventSource = class extends Events {
      constructor(...given) {
        super(...given);
        this.addEventListener('beat', () => { window.listened += 1; });
        this.addEventListener('change', () => { window.listened += 1; });
      }
    };
    window.EventSource.CLOSED = Events.CLOSED;
  });
  through.lose();
  await until(page, 'events over another connection', () => window.listened > 1);
  await until(page, 'live again', () => !document.body.classList.contains('stale'));
  await page.close();
}

/** What a clock says that is set back while the page is open makes nothing new of what is old. */
async function clockSetBack(page) {
  await page.evaluate(() => {
    const { now } = Date;
    Date.now = () => now() - 3_600_000;
  });
}

/** Who goes back to a page that the browser has kept as it was gets what is true now. */
async function goneBack(page) {
  const listened = await page.evaluate(() => {
    const Events = window.EventSource;
    let count = 0;
    window.EventSource = class extends Events {
      constructor(...given) {
        super(...given);
        count += 1;
      }
    };
    window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }));
    window.EventSource = Events;
    return count;
  });
  assert.equal(listened, 1);
}

/** The pages of targets follow those, also where nothing of the status changes. */
async function following(page) {
  const newest = () => Math.max(...[...document.querySelectorAll('#runs time, .panel td time')].map((time) => Number(time.dataset.at)));
  const before = await page.evaluate(newest);
  await until(page, 'a later run', `(${newest})() > ${before}`);
}

/** The tab's title says what the page says, and how many alerts there are. */
async function titled(page) {
  await until(page, 'a title with the alert', () => /cannot take over; \d alerts? · hotspare in eu-west$/.test(document.title));
}

/** A page is loaded anew when the daemon has become another, and not at once. */
async function anotherVersion(browser) {
  const page = await open(browser, second);
  await page.evaluate(() => {
    window.before = true;
    document.getElementById('clock').dataset.build = 'of another daemon';
  });
  const { length } = await page.evaluate(() => new Promise((done) => {
    const events = new EventSource('api/v1/live');
    const heard = [];
    for (const name of ['change', 'beat']) {
      events.addEventListener(name, (event) => {
        heard.push(event.data);
        if (heard.length > 1) done(heard);
      });
    }
  }));
  assert.ok(length > 1 && await page.evaluate(() => window.before), 'it is too young to be loaded again');
  await page.evaluate(() => {
    const { now } = performance;
    performance.now = () => now.call(performance) + 61_000;
  });
  await until(page, 'loaded anew', () => !window.before);
  await page.close();
}

async function stale(page) {
  // At one look: what the daemon said before is heard late by a browser that was held up.
  const isStale = () => document.body.classList.contains('stale')
    && document.querySelector('.clock').textContent.includes('last heard')
    && /^No answer since \d+/.test(document.getElementById('late').textContent)
    && !document.getElementById('late').hidden;
  await clockSetBack(page);
  await ask('the first daemon stands still');
  await until(page, 'stale', isStale);
  await ask('the first daemon goes on');
  await until(page, 'live again', () => !document.body.classList.contains('stale') && document.getElementById('late').hidden);
  await ask('the first daemon is killed');
  await until(page, 'stale again', isStale);
}

// At one look: the page is read anew every ten seconds, also between two looks, and is closed up again.
async function essentials(page) {
  const [said, refresh, open, opened] = await page.evaluate(() => {
    document.querySelector('summary').click();
    return [
      document.body.innerText,
      document.querySelector('noscript meta')?.httpEquiv,
      document.querySelector('details').open,
      document.querySelector('details table').innerText,
    ];
  });
  assert.match(said, /standbys can take over/);
  assert.equal(refresh, 'refresh');
  assert.ok(open, 'it is opened without a script, too');
  assert.match(opened, /web/);
}

const browser = await launch();
try {
  const page = await open(browser, first);
  await content(page);
  await isClean(page);
  await fits(page);
  await keyboard(page);
  await live(page);

  const target = await open(browser, new URL('targets/web/us-east', first).href);
  await until(target, 'its failures', () => document.querySelector('#failures .entries')?.textContent.includes('refused'));
  await following(target);
  await isClean(target);
  await fits(target);
  const list = await open(browser, new URL('targets', first).href);
  assert.match(await text(list, 'main'), /us-east/);
  await following(list);
  await goneBack(list);
  await isClean(list);
  await fits(list);
  await anotherNetwork(browser);
  await anotherVersion(browser);

  const plain = await open(browser, second, { script: false });
  await essentials(plain);
  // axe itself is a script in the page: in pages of its own, whose policy does not count.
  for (const url of [first, target.url(), list.url()]) {
    const looked = await open(browser, url);
    await accessible(looked);
    await looked.close();
  }

  await page.bringToFront();
  await stale(page);
  const other = await open(browser, second);
  await until(other, 'a vantage that is gone', () => /eu-west\s*\S*unreachable/.test(document.querySelector('#vantages thead').textContent)
    && /eu-west cannot be reached since/.test(document.getElementById('vantages').textContent));
  assert.deepEqual(wrong, []);
} finally {
  await browser.close();
}
process.exit();
