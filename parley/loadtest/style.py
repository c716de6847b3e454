"""The styles of a load test's page: light and dark, wide and narrow, and in print."""

from typing import Final

STYLE: Final = """
:root{color-scheme:light dark;--ink:#1d2433;--soft:#566079;--line:#d9deea;--card:#fff;--back:#f4f6fb;
--a:#2f6fed;--b:#b86205;--c:#c0262d;--good:#14804a;--bad:#c0262d}
@media screen and (prefers-color-scheme:dark){:root{--ink:#e6eaf4;--soft:#a3aec6;--line:#2d3650;
--card:#171d2e;--back:#0f1422;--a:#7aa5ff;--b:#f0a94a;--c:#ff7b82;--good:#4fd08b;--bad:#ff7b82}}
*{box-sizing:border-box}body{margin:0;background:var(--back);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:980px;margin:0 auto;padding:32px 20px 64px}h1{font-size:1.7rem;margin:0 0 4px;line-height:1.25}
h2{font-size:1.05rem;margin:0 0 12px}h2.notes{margin-top:18px}p{margin:0 0 12px}.soft{color:var(--soft)}
.card{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:18px 20px;margin:16px 0}
.good-card{border-left:6px solid var(--good)}.bad-card{border-left:6px solid var(--bad)}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:20px 0}
.figures div{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:14px 16px}
.figures b{display:block;font-size:1.5rem;font-variant-numeric:tabular-nums}.figures span{color:var(--soft);
font-size:.86rem}.verdict{font-weight:600;font-size:1.2rem}.good{color:var(--good)}.bad{color:var(--bad)}
ul{margin:0;padding-left:20px}dl{margin:0}dt{font-weight:600}dd{margin:0 0 12px}dd:last-child{margin:0}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:6px 10px;border-bottom:1px solid var(--line);white-space:nowrap;
font-weight:400}
tr>:first-child{text-align:left}thead th{color:var(--soft);font-weight:500;font-size:.86rem}
tbody tr:last-child>*{border-bottom:0}.scroll{overflow-x:auto}svg{width:100%;height:auto;display:block}
svg text{fill:var(--soft);font:13px system-ui,sans-serif}svg .axis{font-weight:600}.grid{stroke:var(--line)}
.layer{fill-opacity:.85}.limit{stroke:var(--ink);stroke-dasharray:4 3}
.key{display:flex;gap:4px 18px;flex-wrap:wrap;font-size:.86rem;color:var(--soft);margin-top:6px}
.key span{display:inline-flex;align-items:center}.key .sample{width:24px;height:8px;margin-right:6px}
details{margin-top:10px;font-size:.86rem;color:var(--soft)}summary{cursor:pointer}
details .scroll{max-height:320px;overflow:auto}pre{margin:0;white-space:pre-wrap;overflow-wrap:anywhere}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:16px;align-items:start}
.two .card{margin:0}.two td,.two th{white-space:normal;overflow-wrap:anywhere}
.two tr>:first-child,.two thead th{overflow-wrap:normal}
.words tr>:last-child{white-space:normal;text-align:left;min-width:220px}
@media(max-width:560px){main{padding:20px 12px 40px}.card{padding:14px}svg text{font-size:18px}
.figures{grid-template-columns:1fr 1fr}th,td{padding:6px}h1{font-size:1.35rem}}
@media print{body{background:#fff;font-size:12px}main{max-width:none;padding:0}details{display:none}
.card,.figures div{break-inside:avoid}.figures{grid-template-columns:repeat(4,1fr)}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""
