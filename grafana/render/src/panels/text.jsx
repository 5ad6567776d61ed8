import { renderTextPanelMarkdown } from '@grafana/data';

export function TextPanel({ panel }) {
  const html = renderTextPanelMarkdown(panel.content);
  return <div className="markdown-html" style={{ padding: 8 }} dangerouslySetInnerHTML={{ __html: html }} />;
}
