/**
 * `npm run bench`: every question, each in a process of its own, then the goals of all together;
 * with `--results` it also writes `bench/results.md` and the charts beside it.
 *
 * `npm run bench -- get sequential` asks only those; `--quick` and `--json FILE` are as for one
 * question. Which questions there are, and the time that each may take, is in
 * `support/schedule.ts`. Invariant: a question that fails does not keep the next from being asked;
 * it is named at the end and the exit code is 1. A goal that does not hold fails nothing.
 */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Answer } from './support/answer.ts';
import { projectFolder } from './support/disk-folder.ts';
import { goalText } from './support/goals.ts';
import { writeResults } from './support/results.ts';
import { budgetSeconds, questionsOf, type Scheduled, schedule } from './support/schedule.ts';

const usage = `npm run bench -- [QUESTION ...] [--quick] [--json FILE] [--results]
  --quick        shorter, so less certain: less than ${budgetSeconds.quick} s in all
  --json FILE    the answers as JSON into a file
  --results      writes bench/results.md and bench/charts/
The questions, and the seconds that each may take (with --quick):
${schedule.map((one) => `  ${one.name}: ${one.seconds} (${one.quickSeconds})`).join('\n')}`;

/** Asks one question in a process of its own; undefined where that failed. */
function answerOf(question: Scheduled, quick: boolean, folder: string): Answer | undefined {
  const { name } = question;
  const file = fileURLToPath(new URL(`./${name}.js`, import.meta.url));
  const json = join(folder, `${name}.json`);
  const options = ['--expose-gc', file, '--json', json, ...(quick ? ['--quick'] : [])];
  const began = performance.now();
  const { status, error } = spawnSync(process.execPath, options, { stdio: 'inherit' });
  const seconds = Math.round((performance.now() - began) / 1e3);
  const budget = quick ? question.quickSeconds : question.seconds;
  const over = seconds > budget ? ', MORE THAN ITS BUDGET' : '';
  console.log(`\n(${name}: ${seconds} s of ${budget}${over})\n`);
  if (status !== 0) {
    console.log(`${name} failed${error === undefined ? '' : `: ${error.message}`}.\n`);
    return undefined;
  }
  return JSON.parse(readFileSync(json, 'utf8')) as Answer;
}

function showGoals(answers: readonly Answer[]): void {
  console.log('All goals:');
  for (const { name, goals } of answers) {
    for (const goal of goals) console.log(`${name}: ${goalText(goal)}`);
  }
}

interface Task {
  readonly chosen: readonly Scheduled[];
  readonly quick: boolean;
  readonly json: string | undefined;
  readonly results: boolean;
}

/** What the command line asks for; undefined for help. Throws where it cannot be followed. */
function taskOf(): Task | undefined {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      results: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const unknown = positionals.filter((asked) => !schedule.some(({ name }) => name === asked));
  if (unknown.length > 0) throw new Error(`there is no question ${unknown.join(', ')}`);
  const named = schedule.filter(({ name }) => positionals.includes(name));
  const chosen = positionals.length > 0 ? named : questionsOf(values.quick);
  return { chosen, quick: values.quick, json: values.json, results: values.results };
}

function askAll({ chosen, quick, json, results }: Task): void {
  const folder = mkdtempSync(join(tmpdir(), 'varve-answers-'));
  const began = performance.now();
  const answers = chosen.map((question) => answerOf(question, quick, folder));
  rmSync(folder, { recursive: true });
  const given = answers.filter((answer) => answer !== undefined);
  showGoals(given);
  const failed = chosen.filter((_, at) => answers[at] === undefined).map(({ name }) => name);
  if (failed.length > 0) {
    console.log(`Failed: ${failed.join(', ')}.`);
    process.exitCode = 1;
  }
  const seconds = Math.round((performance.now() - began) / 1e3);
  console.log(`\nIn ${seconds} s.`);
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(given, undefined, 2)}\n`);
  if (!results) return;
  // As it was asked, without the names of files on this machine.
  const asked = chosen.length < schedule.length ? chosen.map(({ name }) => name) : [];
  const options = [...asked, ...(quick ? ['--quick'] : []), '--results'];
  const command = ['npm run bench --', ...options].join(' ');
  const path = join(projectFolder, 'bench');
  writeResults(path, given, { command, seconds });
  console.log('Written: bench/results.md and bench/charts/.');
}

try {
  const task = taskOf();
  if (task === undefined) console.log(usage);
  else askAll(task);
} catch (error) {
  console.log(`${error instanceof Error ? error.message : error}\n\n${usage}`);
  process.exitCode = 1;
}
