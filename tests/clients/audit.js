// GraphQL over HTTP: the audit suite of graphql-http against a server. Every audit has to pass, those that a server may
// leave out as well.
import { auditServer } from 'graphql-http';

const [url] = process.argv.slice(2);
const results = await auditServer({ url });
const failed = results.filter((result) => result.status !== 'ok');
for (const { id, name, reason } of failed) {
  console.error(`${id} ${name}: ${reason}`);
}
console.log(JSON.stringify({ audits: results.length, failed: failed.length }));
process.exitCode = failed.length === 0 && results.length > 0 ? 0 : 1;
