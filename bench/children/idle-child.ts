/**
 * A process that does nothing: what Node itself takes.
 *
 * Invariant: it loads no more than it needs to say how much memory it has. What any other child
 * takes beyond this is its store's, and its loop's.
 */

import { processMemory } from '../support/process-memory.ts';
import type { LoadAnswer } from '../support/store-process.ts';

const answer: LoadAnswer = { memory: processMemory(), cachedBytesMost: 0 };
console.log(JSON.stringify(answer));
