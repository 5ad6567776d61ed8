// Where panels are: 24 columns, rows of 30 px, 8 px between them, as in Grafana. Collapsed rows are
// drawn open, so that no panel goes unseen.

const COLUMNS = 24;
const ROW = 30;
const GAP = 8;
const PADDING = 16;

/** How high the title and the variables above the panels are, in pixels. */
export const HEADER = 96;

function opened(panels) {
  const flat = [];
  let pushed = 0;
  const move = (panel) => ({ ...panel, gridPos: { ...panel.gridPos, y: panel.gridPos.y + pushed } });
  for (const panel of panels) {
    flat.push(move(panel));
    const inside = panel.type === 'row' ? (panel.panels ?? []) : [];
    if (inside.length > 0) {
      const lift = panel.gridPos.y + 1 - Math.min(...inside.map(({ gridPos }) => gridPos.y));
      const lifted = inside.map((each) => ({ ...each, gridPos: { ...each.gridPos, y: each.gridPos.y + lift } }));
      flat.push(...lifted.map(move));
      pushed += Math.max(...lifted.map(({ gridPos }) => gridPos.y + gridPos.h)) - panel.gridPos.y - 1;
    }
  }
  return flat;
}

/** The panels with their places in pixels, and how high the whole is. */
export function layOut(panels, width) {
  const column = (width - 2 * PADDING + GAP) / COLUMNS;
  const placed = opened(panels).map((panel) => {
    const { x, y, w, h } = panel.gridPos;
    const box = {
      left: Math.round(PADDING + x * column),
      top: HEADER + y * (ROW + GAP),
      width: Math.round(w * column - GAP),
      height: h * (ROW + GAP) - GAP,
    };
    return { ...panel, box };
  });
  const height = Math.max(...placed.map(({ box }) => box.top + box.height)) + PADDING;
  return { placed, height };
}
