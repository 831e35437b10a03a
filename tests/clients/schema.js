// Whether a server's schema still has everything that clients rely on: the schema definition in `schema.graphql`.
import { readFile } from 'node:fs/promises';
import { buildSchema, findBreakingChanges } from 'graphql';

const [url] = process.argv.slice(2);
const known = await readFile('schema.graphql', 'utf8');
const found = await (await fetch(`${url}/graphql/schema.graphql`)).text();
const breaking = findBreakingChanges(buildSchema(known), buildSchema(found)).map((change) => change.description);
console.log(JSON.stringify({ breaking, isKnown: known === found }));
