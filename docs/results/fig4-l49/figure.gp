# Made by softless plot; 'gnuplot figure.gp' draws figure.png and figure.svg.
$p0_0 << END
 0 0.7727 0.0079751698 NaN
 0.25 0.7656 0.00739932429 NaN
 0.5 0.7638 0.00581033562 NaN
 0.75 0.770933333 0.0076823029 NaN
 1 0.794866667 0.00915429468 NaN
 1.25 0.801233333 0.00243059206 NaN
 1.5 0.791333333 0.00339231157 NaN
 1.75 0.789166667 0.00709514701 NaN
 2 0.784666667 0.00117236703 NaN
END
$p0_1 << END
 0 0.806433333 0.00331729475 NaN
 0.25 0.8085 0.0014 NaN
 0.5 0.8102 0.00467154507 NaN
 0.75 0.8126 0.00149331845 NaN
 1 0.811666667 0.00343721463 NaN
 1.25 0.802966667 0.00390142424 NaN
 1.5 0.803633333 0.00220176697 NaN
 1.75 0.800766667 0.00272784001 NaN
 2 0.790166667 0.00103494498 NaN
END
$p0_2 << END
 0 0.7725 0.00842872074 NaN
 0.25 0.7776 0.002136196 NaN
 0.5 0.787033333 0.00457396011 NaN
 0.75 0.7851 0.00510718448 NaN
 1 0.797366667 0.00207391203 NaN
 1.25 0.8039 0.0031785741 NaN
 1.5 0.799 0.0025716402 NaN
 1.75 0.7978 0.00813961506 NaN
 2 0.796666667 0.00419298356 NaN
END
$p0_3 << END
 0 0.803633333 0.00329460839 NaN
 0.25 0.802466667 0.0022578259 NaN
 0.5 0.810466667 0.00240300738 NaN
 0.75 0.811366667 0.00158359647 NaN
 1 0.8115 0.0025 NaN
 1.25 0.811666667 0.00404818203 NaN
 1.5 0.809633333 0.00528088797 NaN
 1.75 0.8022 0.00202072594 NaN
 2 0.7942 0.00417891533 NaN
END
set datafile missing 'NaN'
set grid xtics ytics back lt 1 lw 0.7 lc rgb '#cccccc'
set bars 0.6
set key noenhanced outside right top
set title noenhanced
set xlabel 'exponent alpha of the factor L^{-alpha}'
do for [form in 'png svg'] {
  if (form eq 'png') { set terminal pngcairo size 959,460 font 'DejaVu Sans,11' } \
  else { set terminal svg size 959,460 font 'DejaVu Sans,12' }
  set output 'figure.'.form
  set multiplot layout 1,1
  set title 'fig4-l49'
  set ylabel 'test accuracy'
  set xrange [-0.06:2.06]
  set yrange [0.752526153:0.82117836]
  plot \
    $p0_0 using 1:2:3 with yerrorbars lc rgb '#0072B2' lw 1.2 ps 0 notitle, \
    $p0_0 using 1:2 with linespoints lc rgb '#0072B2' lw 2 dt 1 pt 7 ps 0.9 title 'relu, gate none, 0.0287 core-h', \
    $p0_1 using 1:2:3 with yerrorbars lc rgb '#0072B2' lw 1.2 ps 0 notitle, \
    $p0_1 using 1:2 with linespoints lc rgb '#0072B2' lw 2 dt 2 pt 6 ps 0.9 title 'relu, gate silu, 0.0169 core-h', \
    $p0_2 using 1:2:3 with yerrorbars lc rgb '#D55E00' lw 1.2 ps 0 notitle, \
    $p0_2 using 1:2 with linespoints lc rgb '#D55E00' lw 2 dt 1 pt 5 ps 0.9 title 'relu2, gate none, 0.0178 core-h', \
    $p0_3 using 1:2:3 with yerrorbars lc rgb '#D55E00' lw 1.2 ps 0 notitle, \
    $p0_3 using 1:2 with linespoints lc rgb '#D55E00' lw 2 dt 2 pt 4 ps 0.9 title 'relu2, gate silu, 0.0168 core-h', \
    1/0 notitle
  unset multiplot
  unset output
}
