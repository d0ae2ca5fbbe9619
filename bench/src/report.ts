import { cpus, type CpuInfo } from 'node:os';
import type { Measured, Spread } from './measure.ts';
import type { Skipped } from './row.ts';

/** A row that could not be measured although it should have been. */
interface Failed {
  readonly name: string;
  readonly title: string;
  readonly failed: string;
}

export type Outcome = Measured | Skipped | Failed;

const verdictOf = ({ target, ratio }: Measured): string => {
  if (target === null) return '–';
  return ratio.median >= target ? 'met' : 'MISSED';
};

function cells(outcome: Outcome): readonly string[] {
  const { name, title } = outcome;
  if ('skipped' in outcome) return [name, title, 'SKIPPED', '', '', `SKIPPED: ${outcome.skipped}`];
  if ('failed' in outcome) return [name, title, 'FAILED', '', '', 'FAILED'];
  const { ratio, target } = outcome;
  return [
    name,
    title,
    ratio.median.toFixed(2),
    range(ratio),
    target === null ? 'none' : `≥ ${target}`,
    verdictOf(outcome),
  ];
}

const range = ({ min, max }: Spread): string => `${min.toFixed(2)}–${max.toFixed(2)}`;

/** The ratios, and below them the absolute figures, which mean nothing on any other machine. */
export function table(outcomes: readonly Outcome[]): string {
  const rows = [['row', 'what', 'ratio', 'min–max', 'target', 'verdict'], ...outcomes.map(cells)];
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  lines.splice(1, 0, widths.map((width) => '-'.repeat(width)).join('  '));
  const footnotes = outcomes.flatMap((outcome) => ('ratio' in outcome ? [footnote(outcome)] : []));
  return [
    ...lines,
    '',
    `Absolute figures: this machine (${cpus().length} × ${modelOf(cpus()[0])}), this run. Compare the ratios, not these.`,
    ...footnotes,
  ].join('\n');
}

function footnote({ name, unit, ours, bare }: Measured): string {
  const side = ({ perSecond, details }: Measured['ours']): string =>
    [
      `${Math.round(perSecond)} ${unit}/s`,
      ...Object.entries(details).map(([key, value]) => `${key} ${figure(value)}`),
    ].join(', ');
  return `  ${name}: ours ${side(ours)}; bare ${side(bare)}`;
}

const figure = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toFixed(1));
const modelOf = (cpu: CpuInfo | undefined): string => cpu?.model.trim() ?? 'unknown processor';

export function json(outcomes: readonly Outcome[]): string {
  const rows = outcomes.map((outcome) => ('ratio' in outcome ? { ...outcome, verdict: verdictOf(outcome) } : outcome));
  return `${JSON.stringify({ at: new Date().toISOString(), node: process.version, cpus: cpus().length, rows }, null, 2)}\n`;
}
