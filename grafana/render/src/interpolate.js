// Puts the variables' values into queries, titles and legends, as Grafana's template service does.

const ALL = '$__all';
const REFERENCE = /\$(\w+)|\[\[(\w+)(?::(\w+))?\]\]|\$\{(\w+)(?::(\w+))?\}/g;

const regexEscape = (value) => value.replace(/[\\^$*+?.()|[\]{}/]/g, '\\$&');
const queryEscape = (value) => regexEscape(value).replace(/\\/g, '\\\\').replace(/"/g, '\\"');

function alternatives(values, escape) {
  const escaped = values.map(escape);
  return escaped.length === 1 ? escaped[0] : `(${escaped.join('|')})`;
}

const FORMATS = {
  raw: (values) => values.join(','),
  text: (values) => values.join(' + '),
  regex: (values) => alternatives(values, regexEscape),
  pipe: (values) => values.join('|'),
  csv: (values) => values.join(','),
  queryparam: (values, name) => values.map((value) => `var-${name}=${encodeURIComponent(value)}`).join('&'),
};

/** The text to show for a variable. */
export function shown(variable) {
  return variable.all ? 'All' : variable.values.join(' + ');
}

function inQuery(variable) {
  if (variable.all && variable.allValue) {
    return variable.allValue;
  }
  if (!variable.multi && !variable.includeAll) {
    return variable.values.join(',').replace(/\\/g, '\\\\').replace(/"/g, '\\"');
  }
  return alternatives(variable.values, queryEscape);
}

function format(variable, name, as, bare) {
  if (as === undefined) {
    return bare(variable);
  }
  if (!FORMATS[as]) {
    throw new Error(`the format of \${${name}:${as}} is not known here`);
  }
  if (variable.all && variable.allValue && as !== 'text') {
    return variable.allValue;
  }
  return FORMATS[as](variable.all && as === 'text' ? ['All'] : variable.values, name);
}

function replace(text, variables, bare) {
  return text.replace(REFERENCE, (whole, plain, square, squareAs, braced, bracedAs) => {
    const name = plain ?? square ?? braced;
    const variable = variables[name];
    return variable ? format(variable, name, squareAs ?? bracedAs, bare) : whole;
  });
}

/** A query with the variables' values, escaped for PromQL. */
export const interpolateQuery = (text, variables) => replace(text, variables, inQuery);

/** A title or legend with the variables' values. */
export const interpolateText = (text, variables) => replace(text, variables, shown);

/** A variable with one value, such as `$__interval`. */
export const builtIn = (value) => ({ values: [String(value)] });

export { ALL };
