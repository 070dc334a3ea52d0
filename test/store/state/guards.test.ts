/**
 * Guards against a plain list of held batches: no checkpoint goes past the oldest that lives.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CheckpointGuard, Guards } from '../../../src/store/state/guards.ts';

describe('guards', () => {
  it('hold checkpoints back to the oldest one not released, however often others are', () => {
    const command = fc.oneof(
      fc.record({ hold: fc.nat(6) }),
      fc.record({ release: fc.nat(), dispose: fc.boolean() }),
    );
    fc.assert(
      fc.property(fc.array(command), (commands) => {
        const guards = new Guards();
        const all: CheckpointGuard[] = [];
        const live = new Set<CheckpointGuard>();
        for (const one of commands) {
          if ('hold' in one) {
            const guard = guards.hold(one.hold);
            expect(guard.batch).toBe(one.hold);
            all.push(guard);
            live.add(guard);
          } else if (all.length > 0) {
            const guard = all[one.release % all.length] as CheckpointGuard;
            if (one.dispose) guard[Symbol.dispose]();
            else guard.release();
            live.delete(guard);
          }
          const held = [...live].map(({ batch }) => batch);
          const oldest = held.length === 0 ? undefined : Math.min(...held);
          expect(guards.oldest).toBe(oldest);
          for (const batch of [0, 3, 9]) {
            expect(guards.limit(batch)).toBe(Math.min(batch, oldest ?? batch));
          }
        }
      }),
    );
  });

  it('are all gone when the store closes, and a late release removes none', () => {
    const guards = new Guards();
    const late = guards.hold(4);
    guards.releaseAll();
    expect(guards.oldest).toBe(undefined);
    late.release();
    expect(guards.oldest).toBe(undefined);
    expect(guards.limit(9)).toBe(9);
  });

  it('cannot be moved to another batch', () => {
    const guard = new Guards().hold(4);
    expect(Object.isFrozen(guard)).toBe(true);
  });
});
