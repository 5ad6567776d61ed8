// The page: what shoot.mjs calls to have a dashboard drawn and to hear what went wrong.
import { EventBusSrv, createTheme, dateTime, rangeUtil, setTimeZoneResolver, ThemeContext } from '@grafana/data';
import { initPluginTranslations } from '@grafana/i18n';
import { GlobalStyles, PanelContextProvider } from '@grafana/ui';
import { createRoot } from 'react-dom/client';
import { occurrences } from './annotations.js';
import { Dashboard } from './dashboard.jsx';
import { layOut } from './layout.js';
import { panelData } from './panel_data.js';
import { registerTransformers } from './registries.js';
import { resolve } from './variables.js';

const FONTS = ['14px Inter', '500 14px Inter'];

const theme = createTheme({ colors: { mode: 'dark' } });
const thrown = [];

function complaints() {
  const errors = [];
  const notes = [];
  return { errors, notes, error: (text) => errors.push(text), note: (text) => notes.push(text) };
}

/** "3 minutes ago" is as seen then. */
function setClock(asked) {
  const clock = Date.now.bind(Date);
  const ago = clock() - asked;
  Date.now = () => clock() - ago;
}

function timeOf(settings) {
  const asked = settings.to ? Date.parse(settings.to) : Date.now();
  const to = Math.floor(asked / 1000) * 1000;
  setClock(asked);
  const from = to - rangeUtil.intervalToMs(settings.range);
  const scrapeMs = rangeUtil.intervalToMs(settings.scrape);
  const range = { from: dateTime(from), to: dateTime(to) };
  return { from, to, scrapeMs, range: { ...range, raw: { from: range.from.toISOString(), to: range.to.toISOString() } } };
}

function draw(model, time, variables, panels, annotations) {
  const context = { eventsScope: 'page', eventBus: new EventBusSrv(), sync: () => 0 };
  const onThrow = (title, error) => thrown.push(`panel "${title}" throws: ${error.message}`);
  createRoot(document.getElementById('root')).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <PanelContextProvider value={context}>
        <Dashboard {...{ model, time, variables, panels, annotations, theme, onThrow }} />
      </PanelContextProvider>
    </ThemeContext.Provider>
  );
}

/** Until nothing is fetched any more and the browser has painted twice. */
window.settle = async () => {
  await new Promise((later) => setTimeout(later, 700));
  await new Promise((later) => requestAnimationFrame(() => requestAnimationFrame(later)));
};

window.thrown = () => thrown.splice(0);

window.draw = async (dashboard, settings) => {
  await initPluginTranslations('grafana', []);
  await Promise.all(FONTS.map((font) => document.fonts.load(font)));
  setTimeZoneResolver(() => 'utc');
  registerTransformers();
  const report = complaints();
  const time = timeOf(settings);
  const variables = await resolve(dashboard, settings.chosen, time, report);
  const { placed, height } = layOut(dashboard.panels, window.innerWidth);
  const panels = [];
  for (const panel of placed) {
    panels.push(await panelData(panel, { time, variables, theme, report, dashboards: settings.dashboards }));
  }
  const annotations = await occurrences(dashboard, { time, variables, report });
  draw(dashboard, time, variables, panels, annotations);
  await window.settle();
  return { height, errors: report.errors, notes: report.notes };
};
