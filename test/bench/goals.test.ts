/**
 * Goals held against given figures: when they hold, by how much they miss, and what is said where
 * nothing was measured.
 *
 * Nothing is measured here: the figures are made up, so no machine is too slow for these tests.
 */
import { describe, expect, it } from 'vitest';
import { type Figures, type Goal, goalText, resultOfGoal } from '../../bench/support/goals.ts';
import { budgetSeconds, questionsOf, schedule } from '../../bench/support/schedule.ts';

/** Figures in which everything is `value`. */
function allAre(value: number): Figures {
  const of = (): number => value;
  const times = { time: of, average: of, p99: of, bestPeerTime: of, bestPeerAverage: of };
  return { ...times, rate: of, bestPeerRate: of, figure: of };
}

const atMost: Goal = {
  text: 'get <= 200 ns',
  most: 200,
  value: ({ time }) => time('get', 'varve'),
};
const atLeast: Goal = { text: 'share >= 0.5', least: 0.5, value: ({ rate }) => rate('', '') };

function saidOf(goal: Goal, value: number): string {
  return goalText(resultOfGoal(goal, allAre(value)));
}

describe('a goal', () => {
  it('with "at most" holds at its bound and below it', () => {
    expect(saidOf(atMost, 150)).toBe('goal: get <= 200 ns: 150, holds');
    expect(saidOf(atMost, 200)).toBe('goal: get <= 200 ns: 200, holds');
    expect(resultOfGoal(atMost, allAre(200)).holds).toBe(true);
  });

  it('says by which share of the bound it misses', () => {
    expect(saidOf(atMost, 250)).toBe('goal: get <= 200 ns: 250, misses by 25.0 %');
    expect(saidOf(atLeast, 0.4)).toBe('goal: share >= 0.5: 0.40, misses by 20.0 %');
    expect(resultOfGoal(atMost, allAre(200.001)).holds).toBe(false);
  });

  it('with "at least" holds at its bound and above it', () => {
    expect(saidOf(atLeast, 0.5)).toBe('goal: share >= 0.5: 0.50, holds');
    expect(saidOf(atLeast, 7)).toBe('goal: share >= 0.5: 7.00, holds');
  });

  it('does not hold if nothing was measured, before JSON and after it', () => {
    const result = resultOfGoal(atMost, allAre(Number.NaN));
    const kept = JSON.parse(JSON.stringify(result));
    expect(result.holds).toBe(false);
    expect(kept.value).toBe(null);
    for (const each of [result, kept]) {
      expect(goalText(each)).toBe('goal: get <= 200 ns: not measured');
    }
  });

  it('keeps its bound in JSON, so a later reader can compute by how much it misses', () => {
    const kept = JSON.parse(JSON.stringify(resultOfGoal(atMost, allAre(300))));
    expect(goalText(kept)).toBe('goal: get <= 200 ns: 300, misses by 50.0 %');
  });
});

describe('the schedule', () => {
  it('asks every question once', () => {
    const names = schedule.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  it('adds up to less than 18 minutes, and to less than 90 seconds when it is quick', () => {
    const sum = (part: 'seconds' | 'quickSeconds'): number =>
      questionsOf(part === 'quickSeconds').reduce((total, one) => total + one[part], 0);
    expect(sum('seconds')).toBeLessThan(budgetSeconds.full);
    expect(sum('quickSeconds')).toBeLessThan(budgetSeconds.quick);
    expect(budgetSeconds).toEqual({ full: 1140, quick: 90 });
  });
});
