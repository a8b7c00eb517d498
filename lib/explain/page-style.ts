/** The looks of a film's report, beside those that all reports share. */
export const FILM_STYLE = `
.top { display: grid; grid-template-columns: 1fr auto; gap: 28px; align-items: start; }
.top img { max-height: 300px; max-width: 220px; border-radius: 4px; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(220px, 1fr)); gap: 14px; margin: 18px 0; }
.card { border: 1px solid var(--line); border-radius: 6px; padding: 12px 14px; }
.card b { display: block; font-size: 28px; line-height: 1.2; }
.card span { font-size: 12.5px; color: var(--soft); }
.marked { font-size: 16.5px; line-height: 1.85; max-width: 85ch; white-space: pre-wrap; overflow-wrap: anywhere; }
.cut { color: var(--soft); }
.two { display: flex; flex-wrap: wrap; gap: 22px; }
.two figure { flex: 0 1 auto; }
td.text { max-width: 460px; }
th.text, td.text { text-align: left; white-space: normal; }
.up { color: #1d4fbf; } .down { color: #b0480a; }
.legend { white-space: nowrap; }
.legend i { display: inline-block; width: 12px; height: 12px; margin: 0 4px 0 12px; border-radius: 2px; }
ul.plain { padding-left: 20px; }
@media (max-width: 560px) { .top { grid-template-columns: 1fr; } }
`;
