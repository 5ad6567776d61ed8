// Follows the links of cells, values, panels and dashboards as far as their address.
import { FieldType } from '@grafana/data';

/** The links of a few rows of every field, as a visitor would click them. */
function ofFields(frames) {
  const rows = ({ length }) => [0, length - 1].filter((row) => row >= 0);
  return frames.flatMap((frame) =>
    frame.fields
      .filter(({ type }) => type !== FieldType.time)
      .flatMap((field) => rows(frame).flatMap((valueRowIndex) => field.getLinks?.({ valueRowIndex }) ?? []))
  );
}

/** What is wrong with an address, if anything is. `$__all` is how Grafana says that all are chosen. */
function fault(href, dashboards) {
  const filled = decodeURIComponent(href).replaceAll('=$__all', '');
  if (/[$][{_]|undefined|null/.test(filled)) {
    return 'not all of it was filled in';
  }
  const to = new URL(href, 'http://grafana');
  const [, uid] = /^\/d\/([^/]+)/.exec(to.pathname) ?? [];
  if (!uid) {
    return undefined;
  }
  if (!dashboards[uid]) {
    return `there is no dashboard ${uid}`;
  }
  const names = [...to.searchParams.keys()].filter((key) => key.startsWith('var-')).map((key) => key.slice(4));
  const unknown = names.filter((name) => !dashboards[uid].includes(name));
  return unknown.length > 0 ? `${uid} has no variable ${unknown.join(', ')}` : undefined;
}

/** The first link of a panel that leads nowhere, if any; `dashboards` has the variables of each. */
export function broken(panel, replace, dashboards) {
  const own = (panel.links ?? []).map(({ title, url }) => ({ title, href: replace(url) }));
  return [...own, ...ofFields(panel.frames)]
    .map(({ title, href }) => ({ title, href, fault: fault(href, dashboards) }))
    .filter(({ fault }) => fault)
    .slice(0, 1)
    .map(({ title, href, fault }) => `link "${title}" to ${href}: ${fault}`);
}
