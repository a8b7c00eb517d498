/** The page's looks. */
export const STYLE = `
:root { color-scheme: light; --ink: #1c2430; --soft: #5d6675; --line: #dfe3e8; --tint: #f4f7fb; --blue: #2563a8; }
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif; color: var(--ink); background: #fff; }
header, main { max-width: 1200px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 28px; }
h1 { font-size: 26px; margin: 0 0 12px; overflow-wrap: anywhere; }
h2 { font-size: 21px; margin: 44px 0 8px; padding-top: 12px; border-top: 2px solid var(--ink); overflow-wrap: anywhere; }
h2 small { font-weight: normal; font-size: 14px; color: var(--soft); }
h3 { font-size: 16px; margin: 26px 0 8px; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); gap: 8px 24px; margin: 0 0 14px; }
dt { font-size: 12px; color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: 6px 18px; }
a { color: var(--blue); }
.lead { font-size: 16px; max-width: 80ch; }
.note { font-size: 12.5px; color: var(--soft); margin: 6px 0; max-width: 100ch; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 7px; text-align: right; border-bottom: 1px solid var(--line); vertical-align: top; }
td { white-space: nowrap; }
thead th { font-weight: 600; color: var(--soft); vertical-align: bottom; max-width: 130px; }
th:first-child { text-align: left; }
tbody th { font-weight: 500; min-width: 96px; max-width: 320px; overflow-wrap: anywhere; }
tr.model { background: var(--tint); }
tr.model th, tr.model td { font-weight: 600; }
.range { display: block; font-size: 11px; font-weight: normal; color: var(--soft); }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(430px, 1fr)); gap: 22px; margin: 22px 0; align-items: start; }
figure { margin: 0; padding: 12px; border: 1px solid var(--line); border-radius: 6px; }
figure img { max-width: 100%; height: auto; }
figcaption { font-size: 12.5px; color: var(--soft); margin-bottom: 8px; }
figcaption b { display: block; font-size: 14px; color: var(--ink); }
details { margin: 10px 0; }
summary { cursor: pointer; }
.worst { list-style: none; padding: 0; display: grid; grid-template-columns: repeat(auto-fill, minmax(310px, 1fr)); gap: 12px; }
.worst li { display: flex; gap: 12px; padding: 10px; border: 1px solid var(--line); border-radius: 6px; font-size: 13.5px; overflow-wrap: anywhere; }
.worst img, .blank { flex: none; width: 84px; height: 126px; object-fit: contain; background: var(--tint); }
.blank { display: grid; place-items: center; font-size: 11px; color: var(--soft); }
.worst small { color: var(--soft); }
#how { padding-bottom: 60px; }
#how p { max-width: 90ch; }
@media (max-width: 560px) { .charts { grid-template-columns: 1fr; } header, main { padding: 0 12px; } }
@media print { nav { display: none; } .charts { grid-template-columns: 1fr 1fr; } figure, .worst li { break-inside: avoid; } }
`;
