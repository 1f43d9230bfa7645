# Made by softless plot; 'gnuplot figure.gp' draws figure.png and figure.svg.
$p0_0 << END
 0 0.78 NaN NaN
 2 0.78 NaN NaN
END
$p0_1 << END
 0 0.7445 NaN NaN
 0.5 0.7436 NaN NaN
 1 0.7635 NaN NaN
 1.5 0.7438 NaN NaN
 2 0.7561 NaN NaN
END
$p0_2 << END
 0 0.7669 NaN NaN
 0.5 0.7669 NaN NaN
 1 0.7732 NaN NaN
 1.5 0.7726 NaN NaN
 2 0.7613 NaN NaN
END
$p0_3 << END
 0 0.7444 NaN NaN
 0.5 0.7449 NaN NaN
 1 0.758 NaN NaN
 1.5 0.7591 NaN NaN
 2 0.736 NaN NaN
END
$p0_4 << END
 0 0.7436 NaN NaN
 0.5 0.7373 NaN NaN
 1 0.7572 NaN NaN
 1.5 0.7576 NaN NaN
 2 0.7542 NaN NaN
END
$p0_5 << END
 0 0.7508 NaN NaN
 0.5 0.7491 NaN NaN
 1 0.7433 NaN NaN
 1.5 0.7352 NaN NaN
 2 0.7444 NaN NaN
END
$p0_6 << END
 0 0.7437 NaN NaN
 0.5 0.7387 NaN NaN
 1 0.7639 NaN NaN
 1.5 0.7444 NaN NaN
 2 0.7504 NaN NaN
END
$p0_7 << END
 0 0.7435 NaN NaN
 0.5 0.7459 NaN NaN
 1 0.7544 NaN NaN
 1.5 0.7493 NaN NaN
 2 0.7439 NaN NaN
END
set datafile missing 'NaN'
set grid xtics ytics back lt 1 lw 0.7 lc rgb '#cccccc'
set bars 0.6
set key noenhanced outside right top
set title noenhanced
set xlabel 'exponent alpha of the factor L^{-alpha}'
do for [form in 'png svg'] {
  if (form eq 'png') { set terminal pngcairo size 770,460 font 'DejaVu Sans,11' } \
  else { set terminal svg size 770,460 font 'DejaVu Sans,12' }
  set output 'figure.'.form
  set multiplot layout 1,1
  set title 'fig2-l196'
  set ylabel 'test accuracy'
  set xrange [-0.06:2.06]
  set yrange [0.730512:0.784688]
  plot \
    $p0_0 using 1:2 with lines lc rgb '#000000' lw 2 dt 2 title 'softmax', \
    $p0_1 using 1:2 with linespoints lc rgb '#0072B2' lw 2 dt 1 pt 7 ps 0.9 title 'relu', \
    $p0_2 using 1:2 with linespoints lc rgb '#D55E00' lw 2 dt 1 pt 5 ps 0.9 title 'relu2', \
    $p0_3 using 1:2 with linespoints lc rgb '#009E73' lw 2 dt 1 pt 9 ps 0.9 title 'gelu', \
    $p0_4 using 1:2 with linespoints lc rgb '#CC79A7' lw 2 dt 1 pt 11 ps 0.9 title 'softplus', \
    $p0_5 using 1:2 with linespoints lc rgb '#7F7F7F' lw 2 dt 1 pt 13 ps 0.9 title 'identity', \
    $p0_6 using 1:2 with linespoints lc rgb '#56B4E9' lw 2 dt 1 pt 15 ps 0.9 title 'relu6', \
    $p0_7 using 1:2 with linespoints lc rgb '#E69F00' lw 2 dt 1 pt 3 ps 0.9 title 'sigmoid', \
    1/0 notitle
  unset multiplot
  unset output
}
