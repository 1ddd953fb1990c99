// The probe of check.ts as a program, to be started in another network: node probe.ts <host> <port> <path> <body,
// base64>. Prints how many calls were not answered whole.
import { probe } from './check.ts';

const [host, port, url, body] = process.argv.slice(2);
process.stdout.write(`${await probe(host, Number(port), url, Buffer.from(body, 'base64'))}\n`);
