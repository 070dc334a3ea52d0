/**
 * The chapter "Why" of `spec/format.md` has every rule of the model, in the model's order and
 * groups, and the outcomes of the scripted histories as they are.
 *
 * That the rest of each example is true is for its readers; that a rule is needed, for
 * `protocol.test.ts`.
 */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { reasonBroken } from './campaign.ts';
import { type RuleName, ruleNames, rulesWithout } from './rules.ts';
import { scriptedHistories } from './scenarios.ts';

function textOf(path: string): string {
  return readFileSync(new URL(path, import.meta.url), 'utf8');
}

const spec = textOf('../../spec/format.md');
const chapter = /\n## Why\n([\s\S]*?)\n## /.exec(spec)?.[1]?.concat('\n') ?? '';
const groups = chapter.split('\n### Why: ').slice(1);
const paragraphs = new Map(
  [...chapter.matchAll(/^\*\*(\w+)\.\*\* ([\s\S]*?)\n\n/gm)].map(([, name = '', text = '']) => [
    name,
    text.replace(/\s+/g, ' '),
  ]),
);

describe('the chapter "Why"', () => {
  it('has the 36 rules of the model, in their order', () => {
    expect(ruleNames.length).toBe(36);
    expect([...paragraphs.keys()]).toEqual(ruleNames);
  });

  it('has them in the groups of the model', () => {
    const source = textOf('./rules.ts')
      .split('export const ruleSentences')[1]
      ?.split('as const')[0];
    const inModel = (source ?? '')
      .split(/^ {2}\/\/ /m)
      .slice(1)
      .map((group) => {
        const title = group.split('\n')[0]?.toLowerCase();
        return [title, [...group.matchAll(/^ {2}(\w+):/gm)].map(([, name]) => name)];
      });
    const inChapter = groups.map((group) => [
      group.split('\n')[0],
      [...group.matchAll(/^\*\*(\w+)\.\*\*/gm)].map(([, name]) => name),
    ]);
    expect(inChapter).toEqual(inModel);
  });

  it.each([...paragraphs])(
    'says in which section %s is, and what is lost without it',
    (_, text) => {
      expect(text).toMatch(/\]\(#[\w-]+\)/);
      expect(text).toMatch(/\*Without it(?:,\*|:\*)/);
    },
  );

  it.each<[RuleName, readonly RuleName[], number]>([
    ['namedByParent', [], 108],
    ['freeAfterSync', [], 1],
    ['blankFailedRecord', [], 20],
    ['valueCrcInRecord', [], 1],
    ['cleanMarkChecked', ['openAtOnce'], 266],
  ])('gives the outcome of a random history without %s', (name, others, seed) => {
    const reason =
      reasonBroken(rulesWithout(name, ...others), seed, { carries: false, moves: false }) ?? '';
    const states = [...reason.matchAll(/(\d+)\[(.{8})\]/g)].map(
      ([, batch, values]) => `\`${batch} ${values}\``,
    );
    const text = paragraphs.get(name) ?? '';
    // What was found stands last; the wanted states before it may be two.
    expect(text).toContain(states.at(-1));
    const quoted = [...text.matchAll(/`\d+ [-?ab]{8}`/g)].map(([state]) => state);
    expect(states).toEqual(expect.arrayContaining(quoted));
  });

  it.each(scriptedHistories)('gives the outcome of: $title', ({ rules, kept, broken }) => {
    const shown = (outcome: string): string =>
      outcome === 'refused as corrupt' ? 'refused' : `\`${outcome}\``;
    const texts = rules.map((rule) => paragraphs.get(rule) ?? '');
    expect(texts.some((text) => text.includes(shown(broken)))).toBe(true);
    expect(texts.some((text) => text.includes(shown(kept)))).toBe(true);
  });
});
