// The whole: the title, the variables, and the panels in their places.
import { PanelChrome } from '@grafana/ui';
import { Component } from 'react';
import { shown } from './interpolate.js';
import { HEADER } from './layout.js';
import { drawings } from './panels/index.js';

class Guard extends Component {
  state = { broken: undefined };

  static getDerivedStateFromError(error) {
    return { broken: error.message };
  }

  componentDidCatch(error) {
    this.props.onThrow(this.props.title, error);
  }

  render() {
    return this.state.broken ? <Message text={this.state.broken} /> : this.props.children;
  }
}

const Message = ({ text }) => (
  <div style={{ height: '100%', display: 'flex', alignItems: 'center', justifyContent: 'center' }}>{text}</div>
);

function Header({ model, variables, time, theme }) {
  const chip = { border: `1px solid ${theme.colors.border.weak}`, borderRadius: 2, display: 'flex', height: 32 };
  const part = { padding: '5px 8px' };
  const visible = Object.values(variables).filter(({ hide }) => !hide);
  return (
    <header style={{ position: 'absolute', left: 16, right: 16, top: 0, height: HEADER }}>
      <div style={{ display: 'flex', justifyContent: 'space-between', padding: '12px 0 8px', fontSize: 18 }}>
        <span>{model.title}</span>
        <span style={{ fontSize: 12, color: theme.colors.text.secondary }}>
          {time.range.from.utc().format('YYYY-MM-DD HH:mm:ss')} to {time.range.to.utc().format('HH:mm:ss')}, UTC
        </span>
      </div>
      <div style={{ display: 'flex', gap: 8, fontSize: 12 }}>
        {visible.map((variable) => (
          <div key={variable.name} style={chip}>
            <span style={{ ...part, background: theme.colors.background.secondary }}>
              {variable.label || variable.name}
            </span>
            <span style={part}>{shown(variable)}</span>
          </div>
        ))}
      </div>
    </header>
  );
}

const Row = ({ panel }) => (
  <div style={{ position: 'absolute', ...panel.box, fontSize: 16, fontWeight: 500, paddingTop: 3 }}>⌄ {panel.title}</div>
);

function Drawn({ panel, width, height, ...context }) {
  const Drawing = drawings[panel.type];
  if (panel.broken) {
    return <Message text={panel.broken} />;
  }
  if (!Drawing) {
    throw new Error(`panels of type ${panel.type} are not known here`);
  }
  const values = panel.targets ? panel.frames.filter((frame) => frame.length > 0) : [];
  return panel.targets && values.length === 0 ? (
    <Message text={panel.fieldConfig.defaults.noValue ?? 'No data'} />
  ) : (
    <Drawing {...{ panel, width, height, ...context }} />
  );
}

function Panel({ panel, onThrow, ...context }) {
  const bare = panel.type === 'table' || panel.type === 'text' ? 'none' : 'md';
  return (
    <div style={{ position: 'absolute', ...panel.box }}>
      <PanelChrome
        title={panel.title}
        description={panel.description}
        displayMode={panel.transparent ? 'transparent' : 'default'}
        padding={bare}
        width={panel.box.width}
        height={panel.box.height}
      >
        {(width, height) => (
          <Guard title={panel.title} onThrow={onThrow}>
            <Drawn {...{ panel, width, height, ...context }} />
          </Guard>
        )}
      </PanelChrome>
    </div>
  );
}

export function Dashboard({ model, panels, ...context }) {
  return (
    <main style={{ position: 'absolute', inset: 0, background: context.theme.colors.background.canvas }}>
      <Header model={model} {...context} />
      {panels.map((panel) =>
        panel.type === 'row' ? <Row key={panel.id} panel={panel} /> : <Panel key={panel.id} panel={panel} {...context} />
      )}
    </main>
  );
}
