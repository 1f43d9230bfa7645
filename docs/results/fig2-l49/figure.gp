# Made by softless plot; 'gnuplot figure.gp' draws figure.png and figure.svg.
$p0_0 << END
 0 0.803966667 0.00808462189 NaN
 2 0.803966667 0.00808462189 NaN
END
$p0_1 << END
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
 0 0.771966667 0.00525240686 NaN
 0.25 0.770566667 0.00998904956 NaN
 0.5 0.770366667 0.00332281674 NaN
 0.75 0.777866667 0.00438798866 NaN
 1 0.793666667 0.00317139997 NaN
 1.25 0.791833333 0.00327685486 NaN
 1.5 0.7994 0.0019857828 NaN
 1.75 0.7833 0.002081666 NaN
 2 0.7799 0.00115325626 NaN
END
$p0_4 << END
 0 0.762633333 0.00888825692 NaN
 0.25 0.769566667 0.00373288688 NaN
 0.5 0.768133333 0.00577763889 NaN
 0.75 0.765866667 0.00594680119 NaN
 1 0.7854 0.00230072452 NaN
 1.25 0.794733333 0.00371498467 NaN
 1.5 0.8014 0.00158219257 NaN
 1.75 0.796933333 0.00448565615 NaN
 2 0.789866667 0.00470791296 NaN
END
$p0_5 << END
 0 0.778833333 0.00382811239 NaN
 0.25 0.7652 0.00856329376 NaN
 0.5 0.7807 0.00954410813 NaN
 0.75 0.773333333 0.00105882534 NaN
 1 0.765633333 0.00229080287 NaN
 1.25 0.790666667 0.00331377596 NaN
 1.5 0.7826 0.00167032931 NaN
 1.75 0.785966667 0.00202100085 NaN
 2 0.786433333 0.00454324896 NaN
END
$p0_6 << END
 0 0.769433333 0.00855751781 NaN
 0.25 0.767966667 0.00806170646 NaN
 0.5 0.7647 0.00568887804 NaN
 0.75 0.771066667 0.00776859776 NaN
 1 0.795 0.00820812605 NaN
 1.25 0.799633333 0.00200859265 NaN
 1.5 0.794866667 0.00328954573 NaN
 1.75 0.7875 0.00327414111 NaN
 2 0.7786 0.000461880215 NaN
END
$p0_7 << END
 0 0.757933333 0.0036739322 NaN
 0.25 0.761133333 0.00556367185 NaN
 0.5 0.759366667 0.00159199386 NaN
 0.75 0.7681 0.00186100331 NaN
 1 0.785866667 0.00231684652 NaN
 1.25 0.795166667 0.00322093844 NaN
 1.5 0.7885 0.00137477271 NaN
 1.75 0.786833333 0.00335923272 NaN
 2 0.7776 0.00460470774 NaN
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
  set title 'fig2-l49'
  set ylabel 'test accuracy'
  set xrange [-0.06:2.06]
  set yrange [0.748246704:0.817549661]
  plot \
    $p0_0 using 1:($2-$3):($2+$3) with filledcurves lc rgb '#000000' fs transparent solid 0.12 notitle, \
    $p0_0 using 1:2 with lines lc rgb '#000000' lw 2 dt 2 title 'softmax', \
    $p0_1 using 1:2:3 with yerrorbars lc rgb '#0072B2' lw 1.2 ps 0 notitle, \
    $p0_1 using 1:2 with linespoints lc rgb '#0072B2' lw 2 dt 1 pt 7 ps 0.9 title 'relu', \
    $p0_2 using 1:2:3 with yerrorbars lc rgb '#D55E00' lw 1.2 ps 0 notitle, \
    $p0_2 using 1:2 with linespoints lc rgb '#D55E00' lw 2 dt 1 pt 5 ps 0.9 title 'relu2', \
    $p0_3 using 1:2:3 with yerrorbars lc rgb '#009E73' lw 1.2 ps 0 notitle, \
    $p0_3 using 1:2 with linespoints lc rgb '#009E73' lw 2 dt 1 pt 9 ps 0.9 title 'gelu', \
    $p0_4 using 1:2:3 with yerrorbars lc rgb '#CC79A7' lw 1.2 ps 0 notitle, \
    $p0_4 using 1:2 with linespoints lc rgb '#CC79A7' lw 2 dt 1 pt 11 ps 0.9 title 'softplus', \
    $p0_5 using 1:2:3 with yerrorbars lc rgb '#7F7F7F' lw 1.2 ps 0 notitle, \
    $p0_5 using 1:2 with linespoints lc rgb '#7F7F7F' lw 2 dt 1 pt 13 ps 0.9 title 'identity', \
    $p0_6 using 1:2:3 with yerrorbars lc rgb '#56B4E9' lw 1.2 ps 0 notitle, \
    $p0_6 using 1:2 with linespoints lc rgb '#56B4E9' lw 2 dt 1 pt 15 ps 0.9 title 'relu6', \
    $p0_7 using 1:2:3 with yerrorbars lc rgb '#E69F00' lw 1.2 ps 0 notitle, \
    $p0_7 using 1:2 with linespoints lc rgb '#E69F00' lw 2 dt 1 pt 3 ps 0.9 title 'sigmoid', \
    1/0 notitle
  unset multiplot
  unset output
}
