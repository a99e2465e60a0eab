"""The fixed parts of the demo's page: style, script, skeleton. Nothing in them loads anything."""

from __future__ import annotations

STYLE = """
:root{--paper:#0e1218;--panel:#161c25;--line:#2a3442;--ink:#ecf0f5;--muted:#92a0b3;--blue:#5cc8ff;
--right:#3ddc84;--wrong:#ff5d5d;--missed:#ffbe4d;--declined:#6fb7c9}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);line-height:1.5;
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:1280px;margin:0 auto;padding:36px 24px 64px}
h1{font-size:32px;line-height:1.2;margin:0 0 6px;letter-spacing:-.01em}
h1 b{color:var(--right)}
h2{font-size:20px;margin:40px 0 12px}
p{margin:0 0 10px;max-width:78ch;color:var(--muted)}
p strong{color:var(--ink);font-weight:600}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:12px;margin:24px 0}
.tile{background:var(--panel);border:1px solid var(--line);border-radius:12px;padding:14px 16px}
.tile b{display:block;font-size:30px;line-height:1.15;font-weight:650;letter-spacing:-.02em;
font-variant-numeric:tabular-nums}
.tile span{color:var(--muted);font-size:14px}
.right{color:var(--right)}.wrong{color:var(--wrong)}.missed{color:var(--missed)}
.declined{color:var(--declined)}
.panel{background:var(--panel);border:1px solid var(--line);border-radius:12px;overflow:hidden}
.viewer img{display:block;width:100%;height:auto;aspect-ratio:1588/764}
.bar{display:flex;gap:12px;align-items:center;padding:12px 16px;border-top:1px solid var(--line)}
.bar input{flex:1;accent-color:var(--blue);min-width:60px}
.bar output{color:var(--muted);font-variant-numeric:tabular-nums;white-space:nowrap}
button{font:inherit;color:var(--ink);background:#222b38;border:1px solid var(--line);
border-radius:8px;padding:4px 14px;cursor:pointer}
button:hover,button:focus-visible{border-color:var(--blue)}
.split{display:grid;grid-template-columns:minmax(0,1.05fr) minmax(0,1fr);gap:16px;align-items:start}
@media(max-width:900px){.split{grid-template-columns:1fr}}
svg{display:block;width:100%;height:auto}
svg text{font-family:system-ui,sans-serif;font-weight:600;paint-order:stroke;stroke:#0e1218;
stroke-width:.28em}
svg rect,svg polygon,svg circle{vector-effect:non-scaling-stroke}
.scroll{max-height:640px;overflow:auto}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th,td{padding:6px 10px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th{position:sticky;top:0;background:var(--panel);color:var(--muted);font-weight:550}
th.l,td.l{text-align:left}td.w{white-space:normal;color:var(--muted);min-width:200px}
tbody tr:hover{background:#1d2531}
.dot{display:inline-block;width:10px;height:10px;border-radius:50%;margin-right:7px}
.legend{display:flex;flex-wrap:wrap;gap:6px 20px;padding:10px 16px;color:var(--muted);
font-size:14px;border-top:1px solid var(--line)}
.dash{display:inline-block;width:18px;border-top:2px dashed #fff;margin:0 7px 4px 0}
.blue{display:inline-block;width:16px;height:10px;border:2px solid var(--blue);margin-right:7px}
code{background:#222b38;border-radius:6px;padding:2px 7px;font-size:.92em;color:var(--ink)}
footer{margin-top:44px;padding-top:16px;border-top:1px solid var(--line);font-size:14px}
footer p{max-width:none;margin:0 0 4px}
"""

SCRIPT = """
const D=JSON.parse(document.getElementById('data').textContent);
const C={right:'#3ddc84',wrong:'#ff5d5d',missed:'#ffbe4d',declined:'#6fb7c9'};
const $=id=>document.getElementById(id),N='http://www.w3.org/2000/svg';
const put=(parent,name,attributes,text)=>{const e=document.createElementNS(N,name);
for(const k in attributes)e.setAttribute(k,attributes[k]);if(text)e.textContent=text;
parent.appendChild(e);return e};
const num=(v,d)=>v===null?'\\u2013':v.toFixed(d);
function show(i){const f=D.frames[i];$('slider').value=i;
$('picture').src='data:image/jpeg;base64,'+f.image;
$('picture').alt='frame '+f.index+': camera picture and map';
$('where').value='frame '+f.index+' \\u00b7 '+(i+1)+' of '+D.frames.length;
const g=$('now');g.replaceChildren();
if(f.outline)put(g,'polygon',{points:f.outline.map(p=>p.join(',')).join(' '),fill:'#5cc8ff14',
stroke:'#5cc8ff','stroke-width':2});
const rect=(b,more)=>put(g,'rect',{x:b[0],y:b[1],width:b[2]-b[0],height:b[3]-b[1],...more});
for(const x of f.fixes)if(x.truth)
rect(x.truth,{fill:'none',stroke:'#fff','stroke-width':1.5,'stroke-dasharray':'5 4'});
const taken=[],u=D.unit;
for(const x of f.fixes){if(!x.box)continue;const b=x.box,c=C[x.outcome];
const sure=x.outcome==='right'||x.outcome==='wrong';
const cx=(b[0]+b[2])/2,cy=(b[1]+b[3])/2;
if(sure)rect(b,{fill:c+'22',stroke:c,'stroke-width':2.5});
else put(g,'circle',{cx:cx,cy:cy,r:5*u,fill:c,stroke:'#0e1218','stroke-width':2});
let y=sure?b[1]-4*u:cy-8*u;const tx=sure?b[0]:cx+7*u;
while(taken.some(t=>Math.abs(t[1]-y)<13*u&&Math.abs(t[0]-tx)<34*u))y-=13*u;taken.push([tx,y]);
put(g,'text',{x:tx,y:y,fill:c,'font-size':13*u},x.id)}
const rows=f.fixes.map(x=>'<tr><td class=l><span class=dot style="background:'+C[x.outcome]+
'"></span>'+x.id_html+'</td><td>'+num(x.error_m,1)+'</td><td>'+num(x.radius_m,1)+'</td><td>'+
num(x.iou,2)+'</td><td>'+num(x.probability,2)+'</td><td class="l '+x.outcome+'">'+x.words+
'</td></tr><tr><td></td><td class="l w" colspan=5>'+x.reason_html+'</td></tr>');
$('rows').innerHTML=rows.join('')}
$('slider').oninput=e=>show(+e.target.value);
$('back').onclick=()=>show((+$('slider').value+D.frames.length-1)%D.frames.length);
$('next').onclick=()=>show((+$('slider').value+1)%D.frames.length);
document.onkeydown=e=>{if(e.target.tagName==='INPUT')return;
if(e.key==='ArrowLeft')$('back').click();if(e.key==='ArrowRight')$('next').click()};
show(D.first);
"""

SKELETON = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>tilefix demo: {title}</title><style>{style}</style></head>
<body><main>
<h1>Where are these things <b>on the map?</b></h1>
<p><strong>{title}.</strong> {words}</p>
<p>tilefix gets a camera frame and a click on each object. It lays the frame on satellite tiles that
are cached on board, puts a box on the map for every click, and says how far to trust it. A click on
something that the map does not have should be refused.</p>
<div class="tiles">{tiles}</div>
<h2>Frame by frame</h2>
<div class="panel viewer"><img id="picture" alt="" src="">
<div class="bar"><button id="back" aria-label="previous frame">&larr;</button>
<input id="slider" type="range" min="0" max="{last}" value="0" aria-label="frame">
<button id="next" aria-label="next frame">&rarr;</button><output id="where"></output></div></div>
<h2>This frame on the map</h2>
<div class="split"><div class="panel"><svg viewBox="0 0 {wide} {high}" role="img"
aria-label="map with fixes and truth"><image width="{wide}" height="{high}"
href="data:image/jpeg;base64,{map}"/>{dots}<g id="now"></g>{scale}</svg>
<div class="legend">{legend}</div></div>
<div class="panel scroll"><table><thead><tr><th class="l">object</th><th>error m</th>
<th title="90 % of the errors should be smaller">&plusmn; m</th><th>IoU</th><th>trust</th>
<th class="l">verdict, against truth</th></tr></thead><tbody id="rows"></tbody></table></div></div>
<h2>All objects</h2>
<div class="panel scroll"><table><thead><tr><th class="l">object</th><th class="l">what it is</th>
<th>frames</th><th>accepted</th><th>right</th><th>median error m</th><th>median IoU</th></tr>
</thead><tbody>{objects}</tbody></table></div>
<footer>{footer}</footer>
</main><script id="data" type="application/json">{data}</script><script>{script}</script>
</body></html>
"""
