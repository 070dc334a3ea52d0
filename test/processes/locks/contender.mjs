/**
 * A process that wants a store for itself, for lock-fight.test.ts and lock-pairs.test.ts: it does
 * what `contending.mjs` says.
 *
 * Runs the built library, for Node 20 runs no TypeScript.
 */

import { contend } from './contending.mjs';

const { Store } = await import(new URL('../../../dist/index.js', import.meta.url).href);

await contend(Store);
