/**
 * The import table of varve as functions over sources: which folder may import which, which
 * package is at home where, no cycles, and a core that loads where there are no `node:` modules.
 *
 * Invariant: a rule looks only at the sources and entries that it is given, never at the disk, so
 * that a test can feed it sources that break it. It does not look at what else stands in a file
 * (house-rules.ts does).
 */
import { builtinModules } from 'node:module';
import { posix } from 'node:path';
import { type ImportOf, importsOf, lineAt, maskSource, type SourceFile } from './source-text.ts';

/** One place where a rule is broken. */
export interface Breach {
  readonly rule: string;
  readonly path: string;
  /** From 1. */
  readonly line: number;
  readonly message: string;
}

/** What a rule is given: the sources below src/, and those of them that the package exports. */
export interface House {
  readonly files: readonly SourceFile[];
  readonly publicEntries: ReadonlySet<string>;
}

/** The table: for each unit (a folder below src/, or errors.ts) the other units it may import. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  'errors.ts': [],
  util: ['errors.ts'],
  format: ['util', 'errors.ts'],
  io: ['util', 'errors.ts'],
  store: ['format', 'io', 'util', 'errors.ts'],
  codecs: ['util', 'errors.ts'],
};

/** A folder with more files than this is no room any more. */
const filesInRoomMax = 14;

/** The door of a unit: the files directly in its folder, which may import every room. */
const door = 'the door';
/** The rooms on which the door of the store stands, each with those that it may import. */
const openStore = ['file', 'marks', 'grains', 'moves', 'log', 'values', 'settle', 'state'];
const committedForest = ['contract.ts', 'nodes', 'trees', 'reads', 'journal'];
const rooms: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  store: {
    file: [],
    marks: [],
    grains: ['file', 'marks'],
    moves: ['file', 'marks', 'grains'],
    log: ['file'],
    values: ['file', 'grains'],
    settle: ['file', 'grains', 'log', 'values'],
    state: ['file', 'grains', 'log', 'values', 'settle'],
    watch: ['file', 'settle', 'state'],
    commit: [...openStore, 'watch'],
    open: [...openStore, 'watch'],
    verify: openStore,
    streams: [...openStore, 'commit'],
    readers: [...openStore, 'open', 'verify', 'streams'],
    compact: [...openStore, 'commit', 'open'],
    backup: [...openStore, 'open', 'readers'],
    salvage: [...openStore, 'open', 'backup'],
    [door]: [
      ...openStore,
      ...[
        'watch',
        'commit',
        'open',
        'verify',
        'streams',
        'readers',
        'compact',
        'backup',
        'salvage',
      ],
    ],
  },
  forest: {
    'contract.ts': [],
    nodes: [],
    trees: ['nodes'],
    reads: ['contract.ts', 'nodes', 'trees'],
    journal: ['nodes', 'trees'],
    sessions: ['contract.ts', 'nodes'],
    transactions: [...committedForest, 'sessions'],
    commits: [...committedForest, 'sessions', 'transactions'],
    describe: [...committedForest, 'commits'],
    compact: [...committedForest, 'transactions', 'commits'],
    salvage: ['nodes', 'trees', 'reads', 'journal'],
    [door]: [
      ...committedForest,
      ...['sessions', 'transactions', 'commits', 'describe', 'compact', 'salvage'],
    ],
  },
};

/** What stands on the store: these come in by the public entries only. */
const upperFloors = ['forest', 'keydir', 'tables', 'level', 'replication', 'cli', 'vault'];
const upperFloorMayImport = ['codecs', 'util', 'errors.ts'];

const nodeModulesHome = /^src\/(?:io\/node-[^/]+\.ts$|cli\/|vault\/)/;

/** Where each package that varve depends on may be imported; there is no other. */
const packageHomes: Readonly<Record<string, RegExp>> = {
  'crc-32': /^src\/util\/crc\.ts$/,
  'async-mutex': /^src\/store\//,
  'fs-native-extensions': /^src\/io\/node-[^/]+\.ts$/,
};

/** The public entry whose imports may be anything: the door of the whole house. */
const frontDoor = 'src/index.ts';

const builtins = new Set(builtinModules);

/** Every breach of the import rules, in the order of the files. */
export function checkImports(house: House): Breach[] {
  const importsByPath = new Map(house.files.map((file) => [file.path, importsOf(file.text)]));
  const graph: ImportGraph = { house, importsByPath };
  return [
    ...house.files.flatMap((file) => checkOwnImports(file, graph)),
    ...house.files.flatMap((file) => checkBarrel(file, graph)),
    ...findCrowdedRooms(house),
    ...findCycles(graph),
    ...findNodeBehindTheDoor(graph),
  ];
}

interface ImportGraph {
  readonly house: House;
  readonly importsByPath: ReadonlyMap<string, readonly ImportOf[]>;
}

function checkOwnImports(file: SourceFile, graph: ImportGraph): Breach[] {
  const breaches: Breach[] = [];
  const unit = unitOf(file.path);
  if (file.path !== frontDoor && !(unit in mayImport) && !upperFloors.includes(unit)) {
    breaches.push(breach('layers', file.path, 1, `'${unit}' has no row in the import table`));
  }
  for (const found of graph.importsByPath.get(file.path) ?? []) {
    const { specifier, line } = found;
    const report = (rule: string, message: string): void => {
      breaches.push(breach(rule, file.path, line, message));
    };
    if (specifier === undefined) report('literal-imports', 'imports a name that is computed');
    else if (specifier.startsWith('.')) {
      const target = targetOf(file.path, specifier);
      const reason = whyNotImport(file.path, target, graph);
      if (reason !== undefined) report('layers', `imports ${target}: ${reason}`);
    } else if (specifier.startsWith('node:') || builtins.has(specifier)) {
      if (!specifier.startsWith('node:')) report('node-modules', `write 'node:${specifier}'`);
      if (!nodeModulesHome.test(file.path)) {
        report('node-modules', `imports '${specifier}', which belongs in src/io/node-*.ts`);
      }
    } else if (!packageHomes[specifier]?.test(file.path)) {
      report('packages', `imports the package '${specifier}', which is not at home here`);
    }
  }
  return breaches;
}

/** Why a source may not import another, or `undefined` where it may. */
function whyNotImport(path: string, target: string, graph: ImportGraph): string | undefined {
  if (!graph.importsByPath.has(target)) return 'no such file below src/';
  const from = unitOf(path);
  const to = unitOf(target);
  if (path === frontDoor) return undefined;
  if (from === to && path !== target && target !== frontDoor) return whyNotRoom(path, target);
  if (upperFloors.includes(from)) {
    if (graph.house.publicEntries.has(target) || upperFloorMayImport.includes(to)) return undefined;
    return `${from} may import only public entries, ${upperFloorMayImport.join(', ')}`;
  }
  const allowed = mayImport[from] ?? [];
  if (allowed.includes(to)) return undefined;
  return `${from} may import ${allowed.length === 0 ? 'nothing' : `only ${allowed.join(', ')}`}`;
}

/** Why a source may not import another of its unit, or `undefined` where it may. */
function whyNotRoom(path: string, target: string): string | undefined {
  const ofUnit = rooms[unitOf(path)];
  if (ofUnit === undefined) return undefined;
  const from = roomOf(path, ofUnit);
  const to = roomOf(target, ofUnit);
  if (from === to) return undefined;
  const allowed = ofUnit[from];
  if (allowed === undefined) return `the room '${from}' has no row in the table of rooms`;
  if (allowed.includes(to)) return undefined;
  return `${from} may import ${allowed.length === 0 ? 'no other room' : `only ${allowed.join(', ')}`}`;
}

/** The folder within the unit, or a file that is a room of its own. */
function roomOf(path: string, ofUnit: Readonly<Record<string, unknown>>): string {
  const [, , first = '', ...rest] = path.split('/');
  return rest.length > 0 || first in ofUnit ? first : door;
}

/** One breach for each folder that has too many files. */
function findCrowdedRooms({ files }: House): Breach[] {
  const counts = new Map<string, number>();
  for (const { path } of files) {
    const folder = posix.dirname(path);
    counts.set(folder, (counts.get(folder) ?? 0) + 1);
  }
  return [...counts].flatMap(([folder, count]) =>
    count > filesInRoomMax
      ? [breach('rooms', folder, 1, `${count} files, at most ${filesInRoomMax}`)]
      : [],
  );
}

/** Only the package's entries may hand on what others declare. */
function checkBarrel(file: SourceFile, graph: ImportGraph): Breach[] {
  if (graph.house.publicEntries.has(file.path)) return [];
  const breaches: Breach[] = [];
  const code = maskSource(file.text);
  for (const star of code.matchAll(/\bexport\s+(?:type\s+)?\*/g)) {
    const line = lineAt(file.text, star.index);
    breaches.push(breach('barrels', file.path, line, "'export *' outside a package entry"));
  }
  if (posix.basename(file.path) === 'index.ts') {
    breaches.push(breach('barrels', file.path, 1, 'index.ts is the name of package entries'));
  }
  const statements = graph.importsByPath.get(file.path) ?? [];
  const rest = statements.reduceRight(
    (text, { start, end }) => text.slice(0, start) + text.slice(end),
    code,
  );
  if (statements.some((found) => found.reExport) && /^[\s;]*$/.test(rest)) {
    breaches.push(breach('barrels', file.path, 1, 'the file declares nothing of its own'));
  }
  return breaches;
}

/** One breach for each import that closes a circle, type imports included. */
function findCycles(graph: ImportGraph): Breach[] {
  const breaches: Breach[] = [];
  const finished = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    for (const { target, line } of localImports(path, graph)) {
      const first = trail.indexOf(target);
      if (first >= 0) {
        const circle = [...trail.slice(first), target].join(' -> ');
        breaches.push(breach('cycles', path, line, circle));
      } else if (!finished.has(target)) visit(target, [...trail, target]);
    }
    finished.add(path);
  };
  for (const { path } of graph.house.files) if (!finished.has(path)) visit(path, [path]);
  return breaches;
}

/**
 * The core must load where there is no Node: from an entry, following what is loaded at once, no
 * `node:` module and no native addon may be met. What is imported lazily or as a type may be.
 */
function findNodeBehindTheDoor(graph: ImportGraph): Breach[] {
  const breaches: Breach[] = [];
  const platformFree = [...graph.house.publicEntries].filter(
    (entry) => !nodeModulesHome.test(entry),
  );
  const reached = new Set(platformFree);
  for (const path of reached) {
    for (const { specifier, kind, line } of graph.importsByPath.get(path) ?? []) {
      if (kind !== 'static' || specifier === undefined) continue;
      if (specifier.startsWith('.')) reached.add(targetOf(path, specifier));
      else if (specifier.startsWith('node:') || specifier === 'fs-native-extensions') {
        const message = `'${specifier}' is loaded with the package: import ${path} lazily`;
        breaches.push(breach('lazy-node', path, line, message));
      }
    }
  }
  return breaches;
}

function localImports(path: string, graph: ImportGraph): { target: string; line: number }[] {
  return (graph.importsByPath.get(path) ?? []).flatMap(({ specifier, line }) =>
    specifier?.startsWith('.') ? [{ target: targetOf(path, specifier), line }] : [],
  );
}

function targetOf(path: string, specifier: string): string {
  return posix.join(posix.dirname(path), specifier);
}

/** The folder below src/; for a file directly in src/ its own name (an upper floor without .ts). */
function unitOf(path: string): string {
  const [, unit = ''] = path.split('/');
  const stem = unit.replace(/\.ts$/, '');
  return upperFloors.includes(stem) ? stem : unit;
}

function breach(rule: string, path: string, line: number, message: string): Breach {
  return { rule, path, line, message };
}
