/**
 * What all long operations share: the signal, progress at most every 100 ms, a limit of bandwidth,
 * turns of the event loop, and the end by closing. The clock is the test's.
 */

import { describe, expect, it } from 'vitest';
import {
  checkOperation,
  type LongOperation,
  type Progress,
} from '../../src/util/operations/long-operation.ts';
import { Operations } from '../../src/util/operations/operations.ts';
import { type Clock, RunningOperation } from '../../src/util/operations/running-operation.ts';

/** A clock that stands still until it is moved; timers fire when it passes them. */
class FakeClock implements Clock {
  time = 1000;
  readonly timers = new Map<() => void, number>();
  readonly waits: number[] = [];

  now(): number {
    return this.time;
  }

  after(ms: number, resume: () => void): () => void {
    this.waits.push(ms);
    this.timers.set(resume, this.time + ms);
    return () => this.timers.delete(resume);
  }

  pass(ms: number): void {
    this.time += ms;
    for (const [resume, due] of [...this.timers]) if (due <= this.time) resume();
  }
}

function started(options: LongOperation = {}): { operation: RunningOperation; clock: FakeClock } {
  const clock = new FakeClock();
  return { operation: new RunningOperation(checkOperation(options), clock), clock };
}

const progress: Progress = { phase: 'values', done: 1, total: 2, unit: 'bytes' };

describe('the options of a long operation', () => {
  it.each([
    { signal: {} },
    { onProgress: 'loud' },
    { bytesPerSecond: 0 },
    { bytesPerSecond: -1 },
    { bytesPerSecond: Number.NaN },
    { bytesPerSecond: '1' },
  ])('are refused: %j', (options) => {
    const error = expect.objectContaining({ code: 'VARVE_INVALID_ARGUMENT' });
    expect(() => checkOperation(options as unknown as LongOperation)).toThrow(error);
  });

  it('are unlimited without any', () => {
    const none = { signal: undefined, onProgress: undefined, bytesPerSecond: Infinity };
    expect(checkOperation({})).toEqual(none);
  });
});

describe('progress', () => {
  it('is reported at once, and then at most every 100 ms', () => {
    const reports: number[] = [];
    const { operation, clock } = started({ onProgress: ({ done }) => reports.push(done) });
    for (let done = 0; done < 50; done++) {
      operation.report({ ...progress, done });
      clock.pass(30);
    }
    expect(reports.slice(0, 4)).toEqual([0, 4, 8, 12]);
  });

  it('that throws ends the operation with that error', () => {
    const error = new Error('the caller');
    const { operation } = started({
      onProgress: () => {
        throw error;
      },
    });
    expect(() => operation.report(progress)).toThrow(error);
  });
});

describe('the bandwidth', () => {
  it('is spent piece by piece: each waits until the ones before are paid for', async () => {
    const { operation, clock } = started({ bytesPerSecond: 1000 });
    await operation.spend(500);
    expect(clock.waits).toEqual([]);
    const second = operation.spend(100);
    expect(clock.waits).toEqual([500]);
    clock.pass(500);
    await second;
    clock.pass(100);
    await operation.spend(100);
    expect(clock.waits).toEqual([500]);
  });

  it('does not add up while nothing is spent', async () => {
    const { operation, clock } = started({ bytesPerSecond: 1000 });
    await operation.spend(10);
    clock.pass(60_000);
    await operation.spend(1000);
    const next = operation.spend(1);
    expect(clock.waits).toEqual([1000]);
    clock.pass(1000);
    await next;
  });

  it('decides the size of a piece', () => {
    const bounds = { min: 100, max: 10_000 };
    expect(started().operation.pieceBytes(bounds)).toBe(10_000);
    expect(started({ bytesPerSecond: 8000 }).operation.pieceBytes(bounds)).toBe(1000);
    expect(started({ bytesPerSecond: 1 }).operation.pieceBytes(bounds)).toBe(100);
  });

  it('costs no timer without a limit', async () => {
    const { operation, clock } = started();
    await operation.spend(2 ** 40);
    await operation.spend(2 ** 40);
    expect(clock.waits).toEqual([]);
  });
});

describe('a stop', () => {
  it('ends a wait for bandwidth at once, and every later call', async () => {
    const { operation, clock } = started({ bytesPerSecond: 1 });
    await operation.spend(1_000_000);
    const waiting = operation.spend(1);
    const reason = new Error('stopped');
    operation.stop(reason);
    operation.stop(new Error('later'));
    await expect(waiting).rejects.toBe(reason);
    expect(clock.timers.size).toBe(0);
    expect(() => operation.check()).toThrow(reason);
    expect(() => operation.report(progress)).toThrow(reason);
    await expect(operation.spend(1)).rejects.toBe(reason);
    await expect(operation.breathe()).rejects.toBe(reason);
    await expect(operation.turn()).rejects.toBe(reason);
  });
});

describe('turns', () => {
  it('come after some milliseconds of work', async () => {
    const { operation, clock } = started();
    let turns = 0;
    let isOver = false;
    const count = (): void => {
      turns += 1;
      if (!isOver) setImmediate(count);
    };
    setImmediate(count);
    for (let step = 0; step < 40; step++) {
      await operation.breathe();
      clock.pass(1);
    }
    isOver = true;
    expect(turns).toBeGreaterThan(4);
    expect(turns).toBeLessThan(15);
  });
});

describe('the operations of a store', () => {
  it('reject with the reason of the signal, and do not begin if it has aborted', async () => {
    const operations = new Operations(new FakeClock());
    const reason = new Error('enough');
    let begun = 0;
    const work = async (operation: RunningOperation): Promise<void> => {
      begun += 1;
      for (;;) {
        await new Promise(setImmediate);
        operation.check();
      }
    };
    const controller = new AbortController();
    const running = operations.run(checkOperation({ signal: controller.signal }), work);
    controller.abort(reason);
    await expect(running).rejects.toBe(reason);
    const aborted = checkOperation({ signal: AbortSignal.abort(reason) });
    await expect(operations.run(aborted, work)).rejects.toBe(reason);
    expect(begun).toBe(1);
  });

  it('are all stopped by closing, which waits until they have cleaned up', async () => {
    const operations = new Operations(new FakeClock());
    const error = new Error('closed');
    let cleaned = 0;
    const running = [1, 2].map(() =>
      operations.run(checkOperation({ bytesPerSecond: 1 }), async (operation) => {
        try {
          await operation.spend(100);
          await operation.spend(100);
        } finally {
          await new Promise(setImmediate);
          cleaned += 1;
        }
      }),
    );
    const outcomes = Promise.allSettled(running);
    await new Promise(setImmediate);
    await operations.stopAll(error);
    expect(cleaned).toBe(2);
    expect(await outcomes).toEqual([1, 2].map(() => ({ status: 'rejected', reason: error })));
    const later = operations.run(checkOperation({}), async () => 'done');
    await expect(later).rejects.toBe(error);
  });
});
