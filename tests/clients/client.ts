// What the generated types promise is what a server does: a page, a read as of a moment, a mutation and a subscription.
import assert from 'node:assert/strict';
import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { print } from 'graphql';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { AddDocument, CartsDocument, OrderAsOfDocument, PageDocument } from './generated.js';

const url = process.argv[2] ?? '';

interface Answer<Result> {
  data?: Result;
  errors?: { message: string; extensions: { code: string; revision?: number } }[];
}

async function ask<Result, Variables>(
  document: TypedDocumentNode<Result, Variables>,
  variables: Variables,
): Promise<Answer<Result>> {
  const headers = { 'content-type': 'application/json', accept: 'application/graphql-response+json' };
  const body = JSON.stringify({ query: print(document), variables });
  const response = await fetch(`${url}/graphql`, { method: 'POST', headers, body });
  return (await response.json()) as Answer<Result>;
}

async function data<Result, Variables>(document: TypedDocumentNode<Result, Variables>, variables: Variables) {
  const { data, errors } = await ask(document, variables);
  assert.equal(errors, undefined);
  assert.ok(data);
  return data;
}

// All customers, in pages of one moment.
const ids: string[] = [];
let total = 0;
let after: string | null | undefined;
do {
  const { customers } = await data(PageDocument, { first: 7, after });
  total = customers.totalCount;
  ids.push(...customers.nodes.map((customer) => customer.id ?? ''));
  after = customers.pageInfo.hasNextPage ? customers.pageInfo.endCursor : null;
} while (after);
assert.ok(total > 7 && ids.length === total && new Set(ids).size === total);

// The thirteenth order was on its way.
const before = { time: '2026-09-30T00:00:00Z' };
const then = await data(OrderAsOfDocument, { id: '13', asOf: before });
const now = await data(OrderAsOfDocument, { id: '13', asOf: {} });
assert.deepEqual([then.ordersByKey?.id, now.ordersByKey?.id], ['13', '13']);
assert.notEqual(then.ordersByKey?.status, now.ordersByKey?.status);

// What is appended is pushed to who has subscribed, and a second one of the same revision is told the first.
const socket = createClient({ url: `${url.replace('http', 'ws')}/graphql`, webSocketImpl: WebSocket, retryAttempts: 0 });
const query = print(CartsDocument);
const pushed = socket.iterate<{ events: { id: string; eventType: string; payload: unknown } }>({
  query,
  variables: { after: '0' },
});
const event = (id: string) => ({ id, type: 'item_added', payload: { item: id } });
const added = await data(AddDocument, { cart: '7', expected: { none: true }, events: [event('tea'), event('cup')] });
assert.equal(added.appendEvents.revision, 2);
for (const [index, item] of ['tea', 'cup'].entries()) {
  const { value } = await pushed.next();
  const { id, payload } = value.data.events;
  assert.deepEqual([id, payload], [added.appendEvents.ids[index], { item }]);
}
await socket.dispose();
const late = await ask(AddDocument, { cart: '7', expected: { none: true }, events: [event('pot')] });
assert.equal(late.errors?.[0]?.extensions.revision, 2);

console.log(JSON.stringify({ customers: total, appended: added.appendEvents.revision }));
