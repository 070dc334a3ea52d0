/**
 * Compactions whose writes fail: each write and truncate of them once, or with the next operation, or
 * with everything but zeros that is written next, as EIO or ENOSPC. The compaction rejects, or the
 * commit beside it; nothing is lost, nothing is kept still for ever, and the space adds up.
 */

import { afterAll, describe, it, vi } from 'vitest';
import { crashScale, takingTurns, ticking } from '../support/crash-scale.ts';
import { compactions } from '../support/lives/compaction-histories.ts';
import {
  allButZeros,
  failEveryWrite,
  failedWrites,
  once,
  twice,
} from '../support/lives/failed-writes.ts';

const stride = Math.ceil(30 / crashScale);

describe.each([
  ['once', once],
  ['and so does the next operation', twice],
  ['and so does what is written next but zeros', allButZeros],
])('a write fails, %s', (_, failing) => {
  ticking(vi);
  takingTurns(vi);

  it.each(compactions.map((history) => [history.name, history] as const))(
    '%s',
    async (_, history) => {
      await failEveryWrite(history, stride, failing);
    },
  );
});

afterAll(() => {
  const { faults, rejections, cuts } = failedWrites;
  console.log(`failed writes: ${faults}, rejections: ${rejections}, cuts after them: ${cuts}`);
});
