// A typed client, generated from the schema definition and the operations by graphql-codegen.
import { readFile, writeFile } from 'node:fs/promises';
import { codegen } from '@graphql-codegen/core';
import * as typedDocuments from '@graphql-codegen/typed-document-node';
import * as types from '@graphql-codegen/typescript';
import * as operations from '@graphql-codegen/typescript-operations';
import { parse } from 'graphql';

const [url] = process.argv.slice(2);
const definition = await (await fetch(`${url}/graphql/schema.graphql`)).text();
const document = parse(await readFile('operations.graphql', 'utf8'));
const exact = { input: 'string', output: 'string' };
const scalars = Object.fromEntries(
  ['BigInt', 'Decimal', 'Date', 'Time', 'DateTime', 'Bytes', 'Position'].map((name) => [name, exact]),
);
const config = { scalars: { ...scalars, JSON: 'unknown' }, strictScalars: true, useTypeImports: true };
const generated = await codegen({
  filename: 'generated.ts',
  schema: parse(definition),
  documents: [{ location: 'operations.graphql', document }],
  config,
  plugins: [{ types: {} }, { operations: {} }, { typedDocuments: {} }],
  pluginMap: { types, operations, typedDocuments },
});
await writeFile('generated.ts', generated);
