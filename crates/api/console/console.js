'use strict';

const welcome = `# Deltafold: every row, now or as of any moment.
#
# A view \`orders\` gives \`orders\` (a list), \`ordersByKey\` (one row) and, on each row,
# \`_version\` and \`_history\`. \`asOf: {time: "…"}\` reads the past.
#
# Ctrl-Enter runs the query; the book at the left has the documentation.

{
  projections {
    name
    listField
    byKeyField
    historyStart
  }
  store {
    events
    position
  }
}
`;

async function fetcher(request, options) {
  const response = await fetch('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json', ...(options?.headers ?? {}) },
    body: JSON.stringify(request),
  });
  return response.json();
}

ReactDOM.createRoot(document.getElementById('console')).render(
  React.createElement(GraphiQL, { fetcher, defaultQuery: welcome, shouldPersistHeaders: false }),
);
