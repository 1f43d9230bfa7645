# Made by softless plot; 'gnuplot figure.gp' draws figure.png and figure.svg.
$p0_0 << END
 0 0.7445 NaN NaN
 0.5 0.7436 NaN NaN
 1 0.7635 NaN NaN
 1.5 0.7438 NaN NaN
 2 0.7561 NaN NaN
END
$p0_1 << END
 0 0.7888 NaN NaN
 0.5 0.803 NaN NaN
 1 0.7596 NaN NaN
 1.5 0.7463 NaN NaN
 2 0.7299 NaN NaN
END
$p0_2 << END
 0 0.7669 NaN NaN
 0.5 0.7669 NaN NaN
 1 0.7732 NaN NaN
 1.5 0.7726 NaN NaN
 2 0.7613 NaN NaN
END
$p0_3 << END
 0 0.7995 NaN NaN
 0.5 0.8098 NaN NaN
 1 0.79 NaN NaN
 1.5 0.7604 NaN NaN
 2 0.7423 NaN NaN
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
  set title 'fig4-l196'
  set ylabel 'test accuracy'
  set xrange [-0.06:2.06]
  set yrange [0.723106:0.816594]
  plot \
    $p0_0 using 1:2 with linespoints lc rgb '#0072B2' lw 2 dt 1 pt 7 ps 0.9 title 'relu, gate none, 0.0825 core-h', \
    $p0_1 using 1:2 with linespoints lc rgb '#0072B2' lw 2 dt 2 pt 6 ps 0.9 title 'relu, gate silu, 0.0874 core-h', \
    $p0_2 using 1:2 with linespoints lc rgb '#D55E00' lw 2 dt 1 pt 5 ps 0.9 title 'relu2, gate none, 0.0846 core-h', \
    $p0_3 using 1:2 with linespoints lc rgb '#D55E00' lw 2 dt 2 pt 4 ps 0.9 title 'relu2, gate silu, 0.0877 core-h', \
    1/0 notitle
  unset multiplot
  unset output
}
